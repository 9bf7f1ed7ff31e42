"""Parking: a failed key is retried after growing pauses, and then waits for a person."""

import logging
import traceback

from relay.conf import configuration
from relay.consumer.arrivals import UnreadableMessage
from relay.consumer.cursors import LockedCursor, park_cursor
from relay.consumer.origin import UnknownOrigin
from relay.publisher.topics import UnknownEventType

logger = logging.getLogger(__name__)

# Seconds before each retry of a key whose event type this process does not know.
UNKNOWN_TYPE_RETRY_SECONDS = [60.0] * 100


class MissingEvents(LookupError):
    """Kafka skipped sequence numbers, and the outbox lacks them or the gap is wider than MAX_HEALED."""


def park(consumer: str, cursor: LockedCursor, error: Exception) -> None:
    """Park a locked cursor because of `error`. If it is parked already, schedule its next try."""
    pauses = configuration().retry_seconds
    if isinstance(error, UnreadableMessage | UnknownOrigin):
        pauses = []
    elif isinstance(error, UnknownEventType):
        pauses = UNKNOWN_TYPE_RETRY_SECONDS
    next_try_at = park_cursor(consumer, cursor, f"{type(error).__name__}: {error}", format_traceback(error), pauses)
    again = next_try_at.isoformat() if next_try_at else "when a person redrives it"
    where = {"consumer": consumer, "topic": cursor.topic, "key": cursor.key, "tried_again": again}
    logger.error("key parked", extra=where, exc_info=error)


def format_traceback(error: Exception) -> str:
    """Return the traceback of `error` as Python prints it, or "" if it was not raised."""
    return "".join(traceback.format_exception(error)) if error.__traceback__ else ""
