"""Events about the activity of visitors. A page never waits for them or fails because of them; they may be lost."""

import logging
from contextlib import nullcontext
from typing import LiteralString
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.http import HttpRequest

from relay import WrongIsolationLevel
from relay.publisher.outbox import READ_COMMITTED, publish_with_cause
from shop.events import ActivityEvent
from shop.statements import run_prepared

logger = logging.getLogger(__name__)
_SESSION_KEY = "visitor"
LOCK_MILLISECONDS: LiteralString = "200"
_CAUSE: LiteralString = (
    f"cause as (select set_config('lock_timeout', '{LOCK_MILLISECONDS}', true) where {READ_COMMITTED})"
)


def identify_visitor(request: HttpRequest) -> UUID:
    """Return the random id of this visitor's session, and create it in a new session. The id identifies no person."""
    try:
        return UUID(request.session.get(_SESSION_KEY, ""))
    except ValueError:
        visitor = uuid4()
        request.session[_SESSION_KEY] = str(visitor)
        return visitor


def record_activity(event: ActivityEvent) -> None:
    """Publish `event` in one statement that waits at most LOCK_MILLISECONDS for a lock. Errors are only logged."""
    try:
        # Inside another transaction, use a savepoint, so that an error does not break that transaction.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            publish_alone(event)
    except Exception as error:  # the page must be shown even if its view is not counted
        logger.warning("activity not recorded", extra={"type": event.type_name(), "error": str(error).strip()})


def publish_alone(event: ActivityEvent) -> None:
    """Publish `event`, whose cause is not stored in a table.

    :raises WrongIsolationLevel: the session's transactions are not READ COMMITTED.
    """
    statement, values = publish_with_cause(_CAUSE, event)
    if not run_prepared(statement, {name: None if value is None else str(value) for name, value in values.items()}):
        raise WrongIsolationLevel(f"{event.type_name()} for key {event.key}")
