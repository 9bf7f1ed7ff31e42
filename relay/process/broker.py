"""Errors of the broker, as the relay's other modules know them. They need no Kafka client."""


class BrokerUnavailable(Exception):
    """Kafka could not be reached, or did not answer in time. What was under way has an unknown outcome."""


class RecordRefused(Exception):
    """The broker will not take this record, however often it is sent."""
