"""The recorder: an order's way from its commit to the log, to each consumer and to each effect."""
