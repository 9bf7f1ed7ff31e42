"""The sandbox gateway: a separate process with its own ledger. The payment token selects its behaviour.

The shop calls it through `payments.gateways.sandbox` and imports nothing else of this service.
"""
