"""Errors of the broker, as the relay's other modules know them. This module needs no Kafka client."""


class BrokerUnavailable(Exception):
    """Kafka could not be reached, or did not answer in time. The outcome of batches in flight is unknown."""


class RecordRefused(Exception):
    """The broker rejects this record permanently; another attempt would fail too."""
