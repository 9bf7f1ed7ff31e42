"""Checkout: from a validated request to a stored order with its event."""
