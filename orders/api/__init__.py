"""The REST API of orders and carts."""
