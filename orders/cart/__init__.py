"""Carts: the rows in the database, and the cart of a visitor's session."""
