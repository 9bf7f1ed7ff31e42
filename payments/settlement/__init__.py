"""Settlement: claim due payments, call the gateway, record the results."""
