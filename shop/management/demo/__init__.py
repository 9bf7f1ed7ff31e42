"""Invented history for a demo shop: a month of visits and orders that analytics can show."""
