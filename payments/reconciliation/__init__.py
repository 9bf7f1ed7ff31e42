"""Reconciliation: compare the payments with the gateway's ledger and open cases."""
