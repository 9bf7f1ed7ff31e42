"""Settlement of payments: claim due payments, call the gateway, record the results."""
