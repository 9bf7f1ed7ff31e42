"""Events about the activity of visitors. A page never waits for them or fails because of them; they may be lost.

The lost ones are counted. While the database can't take the count either, the process keeps it until the next event; a
process that ends meanwhile loses the count, so the stored number is a lower bound.
"""

import logging
from collections import Counter
from contextlib import nullcontext
from datetime import datetime
from threading import Lock
from typing import LiteralString
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.http import HttpRequest

from relay import WrongIsolationLevel
from relay.arrays import to_array
from relay.publisher.outbox import READ_COMMITTED, publish_with_cause
from shop.events import ActivityEvent
from shop.statements import run_prepared

logger = logging.getLogger(__name__)
_SESSION_KEY = "visitor"
LOCK_MILLISECONDS: LiteralString = "200"
_CAUSE: LiteralString = (
    f"cause as (select set_config('lock_timeout', '{LOCK_MILLISECONDS}', true) where {READ_COMMITTED})"
)
_ADD_LOST = """
with limits as materialized (select set_config('lock_timeout', %(lock_timeout)s, true))
insert into activity_notrecorded as stored (minute, type, count)
select lost.* from limits cross join unnest(%(minutes)s::timestamptz[], %(types)s::text[], %(counts)s::int[]) as lost
order by 1, 2
on conflict (minute, type) do update set count = stored.count + excluded.count
"""
#: Lost events of this process that are not stored yet: (minute, type) -> number. The threads of the web share it.
_lost: Counter[tuple[datetime, str]] = Counter()
_lost_lock = Lock()


def identify_visitor(request: HttpRequest) -> UUID:
    """Return the random id of this visitor's session, and create it in a new session. The id identifies no person."""
    try:
        return UUID(request.session.get(_SESSION_KEY, ""))
    except ValueError:
        visitor = uuid4()
        request.session[_SESSION_KEY] = str(visitor)
        return visitor


def record_activity(event: ActivityEvent) -> None:
    """Publish `event` in one statement that waits at most LOCK_MILLISECONDS for a lock. Count errors and log them."""
    try:
        # Inside another transaction, use a savepoint, so that an error does not break that transaction.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            publish_alone(event)
    except Exception as error:  # the page must be shown even if its view is not counted
        logger.warning("activity not recorded", extra={"type": event.type_name(), "error": str(error).strip()})
        with _lost_lock:
            _lost[event.occurred_at.replace(second=0, microsecond=0), event.type_name()] += 1
    if _lost:
        store_lost()


def publish_alone(event: ActivityEvent) -> None:
    """Publish `event`, whose cause is not stored in a table.

    :raises WrongIsolationLevel: the session's transactions are not READ COMMITTED.
    """
    statement, values = publish_with_cause(_CAUSE, event)
    if not run_prepared(statement, {name: None if value is None else str(value) for name, value in values.items()}):
        raise WrongIsolationLevel(f"{event.type_name()} for key {event.key}")


def store_lost() -> None:
    """Add the lost events of this process to the table. Keep their number if the database can't take it now."""
    with _lost_lock:
        lost = dict(_lost)
        _lost.clear()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                _ADD_LOST,
                {
                    "lock_timeout": LOCK_MILLISECONDS,
                    "minutes": to_array(minute for minute, _ in lost),
                    "types": to_array(type_name for _, type_name in lost),
                    "counts": to_array(lost.values()),
                },
            )
    except Exception as error:
        logger.warning("number of lost activity not stored", extra={"error": str(error).strip()})
        with _lost_lock:
            _lost.update(lost)
