"""Kafka -> handlers: the process that a `consume_*` command runs."""
