"""The storefront's pages for carts, the checkout and orders."""
