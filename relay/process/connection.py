"""The way to the broker: options of every client, and the library's errors turned into the relay's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import (
    InvalidRecordError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from relay.conf import configuration
from relay.process.broker import BrokerUnavailable, RecordRefused

# Errors that say something about the record; every other one says something about the way to the broker.
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError, InvalidTopicError)


def read_connection() -> dict[str, Any]:
    """Return what every client needs to know to connect."""
    settings = configuration()
    return {"bootstrap_servers": settings.bootstrap_servers, **settings.client_options}


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except KafkaError as error:
        raise explain(error) from error


def explain(error: Exception) -> Exception:
    """Return the error as one of ours: RecordRefused or BrokerUnavailable."""
    kind = RecordRefused if isinstance(error, _REFUSALS) else BrokerUnavailable
    return kind(f"{type(error).__name__}: {error}")
