"""The life cycle of an order after the checkout: the saga's table, and the writes that apply it."""
