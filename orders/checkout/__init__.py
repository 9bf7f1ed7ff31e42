"""The checkout: it turns a validated request into a stored order and its event."""
