"""The cursors in SQL: one row per consumer and key, locked before any handler runs, and what follows them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from relay.arrays import to_array

Key = tuple[str, str]  # topic, key

# Inserted first and locked second: with the lock alone two consumers of a rebalance both find no row to lock.
# A new cursor starts at the stream's floor: what lies below is pruned and can't be applied by anyone.
# Both look each key up in the index by itself, whatever the planner thinks of tables that grew since it last looked.
_INSERT = """
with wanted as materialized (
    select topic, key, expected, coalesce((select floor from relay_stream s
                                           where s.topic = wanted.topic and s.key = wanted.key), 0) as floor
    from unnest(%(topics)s::text[], %(keys)s::text[], %(expected)s::bigint[]) as wanted (topic, key, expected)),
made as (
    insert into relay_cursor (consumer, topic, key, last)
    select %(consumer)s, topic, key, case when expected = floor + 1 then expected else floor end from wanted
    on conflict (consumer, topic, key) do nothing
    returning id, topic, key, last, parked_at)
select id, topic, key, last, parked_at, floor from made join wanted using (topic, key)
"""
_LOCK = """
select locked.* from unnest(%(topics)s::text[], %(keys)s::text[]) as wanted (topic, key)
cross join lateral (select id, topic, key, last, parked_at, last from relay_cursor c
                    where c.consumer = %(consumer)s and c.topic = wanted.topic and c.key = wanted.key
                    for update) locked
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
    """A cursor's row, locked until the end of the transaction. `stored` is what stands in it, `last` what shall."""

    id: int
    topic: str
    key: str
    stored: int
    parked_at: datetime | None
    last: int


def lock_cursors(
    consumer: str, keys: Iterable[Key], expected: Mapping[Key, int] | None = None
) -> dict[Key, LockedCursor]:
    """Make the missing cursors and lock all of them, in the order of their keys. Needs an open transaction.

    A missing one is stored as if what is `expected` of its key were applied already, if that comes first in it: most
    often it will be, and then `move_cursors` has nothing to do.
    """
    ordered = sorted(set(keys))
    expected = expected or {}
    parameters = _name(consumer, ordered) | {"expected": to_array(expected.get(key, 0) for key in ordered)}
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, parameters)
        locked = {(row[1], row[2]): LockedCursor(*row) for row in cursor.fetchall()}
        if known := [key for key in ordered if key not in locked]:
            cursor.execute(_LOCK, _name(consumer, known))
            locked |= {(row[1], row[2]): LockedCursor(*row) for row in cursor.fetchall()}
    return locked


def _name(consumer: str, keys: Sequence[Key]) -> dict[str, str]:
    return {"consumer": consumer, "topics": to_array(t for t, _ in keys), "keys": to_array(k for _, k in keys)}


def move_cursors(cursors: Iterable[LockedCursor]) -> None:
    """Write `last` of these locked cursors, where it is not what is stored."""
    moved = [cursor for cursor in cursors if cursor.last != cursor.stored]
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
