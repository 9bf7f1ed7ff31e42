"""The cursors in SQL: one row per consumer and key, locked before any handler runs, and what follows them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from relay.arrays import to_array

Key = tuple[str, str]  # topic, key

# Inserted first and locked second: with the lock alone two consumers of a rebalance both find no row to lock.
# A new cursor starts at the stream's floor: what lies below is pruned and can't be applied by anyone.
_INSERT = """
insert into relay_cursor (consumer, topic, key, last)
select %(consumer)s, wanted.topic, wanted.key, coalesce(stream.floor, 0)
from unnest(%(topics)s::text[], %(keys)s::text[]) as wanted (topic, key)
left join relay_stream stream using (topic, key)
order by wanted.topic, wanted.key
on conflict (consumer, topic, key) do nothing
"""
_LOCK = """
select id, topic, key, last, parked_at from relay_cursor
where consumer = %(consumer)s
  and (topic, key) in (select * from unnest(%(topics)s::text[], %(keys)s::text[]))
order by topic, key for update
"""
_MOVE = """
update relay_cursor c set last = moved.last
from unnest(%s::bigint[], %s::bigint[]) as moved (id, last) where c.id = moved.id
"""
_PARK = """
update relay_cursor set parked_at = coalesce(parked_at, clock_timestamp()), reason = %(reason)s,
    attempts = attempts + 1,
    next_try_at = clock_timestamp() + make_interval(secs => (%(pauses)s::float8[])[attempts + 1])
where id = %(id)s
returning next_try_at
"""


@dataclass(slots=True)
class LockedCursor:
    """A cursor's row, locked until the end of the transaction."""

    id: int
    topic: str
    key: str
    last: int
    parked_at: datetime | None


def lock_cursors(consumer: str, keys: Iterable[Key]) -> dict[Key, LockedCursor]:
    """Make the missing cursors and lock all of them, in the order of their keys. Needs an open transaction."""
    ordered = sorted(set(keys))
    parameters: dict[str, Any] = {
        "consumer": consumer,
        "topics": to_array(t for t, _ in ordered),
        "keys": to_array(k for _, k in ordered),
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        cursor.execute(_LOCK, parameters)
        return {(row[1], row[2]): LockedCursor(*row) for row in cursor.fetchall()}


def move_cursors(cursors: Iterable[LockedCursor]) -> None:
    """Write `last` of these locked cursors back."""
    moved = list(cursors)
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE, [to_array(c.id for c in moved), to_array(c.last for c in moved)])


def park_cursor(cursor: LockedCursor, reason: str, pauses: list[float]) -> datetime | None:
    """Park a locked cursor and return when it is tried again: after the next of `pauses` (seconds), if any is left."""
    # PostgreSQL's text holds neither NUL characters nor lone surrogates.
    text = reason.replace("\0", "\\0").encode(errors="backslashreplace").decode()[:2000]
    with connection.cursor() as db:
        db.execute(_PARK, {"id": cursor.id, "reason": text, "pauses": pauses})
        return db.fetchone()[0]  # type: ignore[no-any-return]


def unpark_cursor(cursor: LockedCursor) -> None:
    """Let a locked cursor's key flow again."""
    with connection.cursor() as db:
        db.execute(
            "update relay_cursor set parked_at = null, reason = '', attempts = 0, next_try_at = null where id = %s",
            [cursor.id],
        )


def read_end(key: Key) -> tuple[int, int]:
    """Return the last sequence number that was given out for a key, and its floor; 0 if it never had one here."""
    with connection.cursor() as cursor:
        cursor.execute("select last, floor from relay_stream where topic = %s and key = %s", key)
        return cursor.fetchone() or (0, 0)


def read_outbox(
    cursor: LockedCursor, *, before: int | None = None, limit: int = 500
) -> Iterator[tuple[int, str, str, str]]:
    """Yield (sequence, type, body, traceparent) of the events that follow the cursor without a gap.

    At most `limit` of them, and only those below the sequence number `before`.
    """
    with connection.cursor() as db:
        db.execute(
            "select sequence, type, body, traceparent from relay_outbox where topic = %s and key = %s and sequence > %s"
            " and (%s::bigint is null or sequence < %s) order by sequence limit %s",
            [cursor.topic, cursor.key, cursor.last, before, before, limit],
        )
        rows = db.fetchall()
    for expected, row in enumerate(rows, start=cursor.last + 1):
        if row[0] != expected:
            return
        yield row


def find_due(consumer: str, limit: int = 50, *, newest_first: bool = False) -> list[Key]:
    """Return the parked keys whose next try is due."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select topic, key from relay_cursor where consumer = %s and parked_at is not null"
            " and next_try_at <= clock_timestamp() order by extract(epoch from next_try_at) * %s limit %s",
            [consumer, -1 if newest_first else 1, limit],
        )
        return [(topic, key) for topic, key in cursor.fetchall()]


def find_behind(consumer: str, topics: list[str], *, seconds: float, limit: int = 200) -> list[Key]:
    """Return keys with an event that was published over `seconds` ago and is neither applied nor parked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select s.topic, s.key from relay_stream s
            left join relay_cursor c on c.consumer = %s and c.topic = s.topic and c.key = s.key
            where s.topic = any(%s) and s.last > coalesce(c.last, s.floor) and c.parked_at is null
              and exists (select from relay_outbox o
                          where o.topic = s.topic and o.key = s.key and o.sequence = coalesce(c.last, s.floor) + 1
                            and o.published_at < clock_timestamp() - make_interval(secs => %s))
            limit %s
            """,
            [consumer, topics, seconds, limit],
        )
        return [(topic, key) for topic, key in cursor.fetchall()]
