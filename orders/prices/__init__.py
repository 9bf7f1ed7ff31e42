"""The price of an order: amounts, tax, shipping and promotions."""
