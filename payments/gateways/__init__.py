"""Clients of payment gateways: one protocol, two implementations."""
