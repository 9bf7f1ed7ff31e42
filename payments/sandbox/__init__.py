"""A payment gateway for this machine: a service of its own, with books of its own, scripted by the payment token.

`client` is what the shop calls it with; the rest is the service, and nothing else of the shop imports it.
"""
