"""The life of an order after checkout: the saga's table and the writes that follow it."""
