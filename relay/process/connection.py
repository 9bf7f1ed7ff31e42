"""The connection to the broker: the options of every client, and the translation of the library's errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import (
    InvalidRecordError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from relay.conf import configuration
from relay.process.broker import BrokerUnavailable, RecordRefused

# Errors caused by the record. All other errors concern the connection or the broker.
_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError, InvalidTopicError)


def read_connection() -> dict[str, Any]:
    """Return the options that every client of kafka-python needs to connect."""
    settings = configuration()
    return {"bootstrap_servers": settings.bootstrap_servers, **settings.client_options}


@contextmanager
def broker_errors() -> Iterator[None]:
    """Raise errors of kafka-python as RecordRefused or BrokerUnavailable."""
    try:
        yield
    except KafkaError as error:
        raise explain(error) from error


def explain(error: Exception) -> Exception:
    """Return `error` as RecordRefused or BrokerUnavailable."""
    kind = RecordRefused if isinstance(error, _REFUSALS) else BrokerUnavailable
    hint = ""
    if isinstance(error, KafkaTimeoutError) and "security_protocol" in configuration().client_options:
        # The library loses the broker's reason if the broker has closed the connection before the library reads it.
        hint = ". Check the user, the password and the certificates of CLIENT_OPTIONS, too"
    return kind(f"{type(error).__name__}: {error}{hint}")
