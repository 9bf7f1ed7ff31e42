"""The REST API for orders and carts."""
