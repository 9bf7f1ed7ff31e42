"""Kafka -> handlers: the code of a `consume_*` process."""
