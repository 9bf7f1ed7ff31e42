"""Health of the relay: heartbeats, canary events, consumer lag, metrics and the transactions that hold vacuum back.

Every relay and every consumer needs three of these modules to run: `heartbeat` and `canary` for both, `lag` for the
consumer's search for missing events. `measures`, `metrics` and `vacuum` only serve the metrics page.
"""
