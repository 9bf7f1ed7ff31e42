"""The pages of carts, the checkout and orders."""
