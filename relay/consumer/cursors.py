"""SQL for cursors: one row per consumer and key, which is locked before any handler runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from relay.arrays import to_array
from relay.consumer.origin import DIGEST
from relay.database import connection

Key = tuple[str, str]  # topic, key

# Limits of a consumer's transaction: the wait for one lock, and the duration of one statement.
LOCK_TIMEOUT, STATEMENT_TIMEOUT = "5s", "10s"
_LIMITS = (
    "limits as materialized (select set_config('lock_timeout', %(lock_timeout)s, true),"
    " set_config('statement_timeout', %(statement_timeout)s, true))"
)
# The digest of the outbox row of the expected event: a scalar subquery, because PostgreSQL may hash an EXISTS.
_ORIGIN = f"""(select {DIGEST} from relay_outbox o
     where o.key = wanted.key and o.topic = wanted.topic and o.sequence = wanted.expected {{recent}} limit 1)"""  # noqa: S608
# Excludes old partitions at the start of each execution. The stable function prevents their exclusion by the planner,
# which would then plan each execution again.
_RECENT = "and o.position > %(since)s::bigint + 0 * pg_backend_pid()"
#: Number of times of application that a cursor keeps, newest last. Eight cover nearly all streams of orders.
KEPT_TIMES = 8
# The times of `last` and of the events before it. A skipped event has null. All consumers share the database's clock.
_APPEND = f"(c.applied_at || statement_timestamp())[greatest(1, cardinality(c.applied_at) + {2 - KEPT_TIMES}):]"
# The usual case in one statement: an event that is the first of its key or follows the cursor. No row is returned for
# duplicates, gaps, parked keys, streams with pruned events, and records that differ from their outbox row. The lateral
# join forces an index lookup for each key, even if the planner's statistics are older than the table's growth.
_ADVANCE = f"""
with {_LIMITS},
wanted as materialized (
    select wanted.* from limits
    cross join unnest(%(topics)s::text[], %(keys)s::text[], %(expected)s::bigint[], %(digests)s::text[])
        as wanted (topic, key, expected, digest)
    where digest = '' or digest = {_ORIGIN.format(recent=_RECENT)}),
made as (
    insert into relay_cursor (consumer, topic, key, last, applied_at)
    select %(consumer)s, topic, key, 1, array[statement_timestamp()] from wanted
    where expected = 1 and coalesce((select floor from relay_stream s
                                     where s.topic = wanted.topic and s.key = wanted.key), 0) = 0
    on conflict (consumer, topic, key) do nothing returning topic, key),
moved as (
    update relay_cursor c set last = last + 1, applied_at = {_APPEND}
    where id = any(array(
        select found.id from wanted cross join lateral (
            select id from relay_cursor c
            where c.consumer = %(consumer)s and c.topic = wanted.topic and c.key = wanted.key
              and c.last = wanted.expected - 1 and c.parked_at is null
            for update) found
        where wanted.expected > 1))
    returning topic, key)
select topic, key from made union all select topic, key from moved
"""  # noqa: S608 - a constant
# Insert first, then lock: during a rebalance two consumers could both find no row to lock.
# A new cursor starts at the stream's floor, because earlier events are pruned.
_INSERT_MISSING = f"""
with {_LIMITS}
insert into relay_cursor (consumer, topic, key, last)
select %(consumer)s, topic, key, coalesce((select floor from relay_stream s
                                           where s.topic = wanted.topic and s.key = wanted.key), 0)
from limits cross join unnest(%(topics)s::text[], %(keys)s::text[]) as wanted (topic, key)
on conflict (consumer, topic, key) do nothing
"""  # noqa: S608 - a constant
_LOCK = f"""
select locked.*, case when wanted.digest <> '' then {_ORIGIN.format(recent="")} end,
       coalesce((select floor from relay_stream s where s.topic = wanted.topic and s.key = wanted.key), 0)
from unnest(%(topics)s::text[], %(keys)s::text[], %(expected)s::bigint[], %(digests)s::text[])
    as wanted (topic, key, expected, digest)
cross join lateral (select topic, key, last, last, parked_at from relay_cursor c
                    where c.consumer = %(consumer)s and c.topic = wanted.topic and c.key = wanted.key
                    for update) locked
"""  # noqa: S608 - a constant
# Several events of a key are applied in one transaction when a gap is healed.
_MOVE = f"""
update relay_cursor c set last = moved.last, applied_at = (c.applied_at || array_fill(
    statement_timestamp(), array[greatest(0, least(moved.last - c.last, {KEPT_TIMES}))::int]
))[greatest(1, cardinality(c.applied_at) + greatest(0, least(moved.last - c.last, {KEPT_TIMES})) - {KEPT_TIMES - 1}):]
from unnest(%(topics)s::text[], %(keys)s::text[], %(lasts)s::bigint[]) as moved (topic, key, last)
where c.consumer = %(consumer)s and c.topic = moved.topic and c.key = moved.key
"""  # noqa: S608 - a constant
_COUNT_REPEATS = """
update relay_cursor c set repeats = c.repeats + 1, repeated_at = statement_timestamp()
from unnest(%(topics)s::text[], %(keys)s::text[]) as repeated (topic, key)
where c.consumer = %(consumer)s and c.topic = repeated.topic and c.key = repeated.key
"""
_PARK = """
update relay_cursor set parked_at = coalesce(parked_at, clock_timestamp()), reason = %(reason)s,
    traceback = %(traceback)s, attempts = attempts + 1,
    next_try_at = clock_timestamp() + make_interval(secs => (%(pauses)s::float8[])[attempts + 1])
where consumer = %(consumer)s and topic = %(topic)s and key = %(key)s
returning next_try_at
"""
# Claim due keys for TRY_SECONDS. Other processes skip claimed keys, and an interrupted try is repeated afterwards.
_TAKE_PARKED = """
with due as (select id from relay_cursor
             where consumer = %s and parked_at is not null and next_try_at <= clock_timestamp()
             order by extract(epoch from next_try_at) * %s limit %s for update skip locked)
update relay_cursor c set next_try_at = clock_timestamp() + make_interval(secs => %s)
from due where c.id = due.id returning topic, key
"""
TRY_SECONDS = 30.0
_UNPARK = """
update relay_cursor set parked_at = null, reason = '', attempts = 0, next_try_at = null
where consumer = %(consumer)s and topic = %(topic)s and key = %(key)s
"""


@dataclass(slots=True)
class LockedCursor:
    """A locked row of a cursor. `stored` is the sequence number in the row, `last` the one to write.

    `digest` is the digest of the expected event's outbox row; None: it has no row. `floor` is the stream's floor.
    """

    topic: str
    key: str
    stored: int
    last: int
    parked_at: datetime | None = None
    digest: str | None = None
    floor: int = 0


def lock_cursors(
    consumer: str, expected: Mapping[Key, int], digests: Mapping[Key, str] = MappingProxyType({}), *, since: int = 0
) -> dict[Key, LockedCursor]:
    """Lock the cursors of the keys in `expected` and return them by key. Insert missing ones.

    Must run in a transaction, whose time limits it sets. If the `expected` sequence (0: none) follows the cursor, it is
    stored at once, before the event is applied. This saves a statement in `move_cursors`.

    :param digests: digests of the expected events. An event with a digest is stored only if its outbox row has the same
        digest. Otherwise the caller must compare the digest with the `digest` of the returned cursor.
    :param since: a position below the rows of most expected events. Below it, rows are found by a further statement.
    """
    ordered = sorted(expected)
    locked = _advance(consumer, {key: expected[key] for key in ordered if expected[key]}, digests, since)
    if others := [key for key in ordered if key not in locked]:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_MISSING, _name(consumer, others) | _name_limits())
            cursor.execute(_LOCK, _name(consumer, others) | _name_events(others, expected, digests))
            locked |= {(row[0], row[1]): LockedCursor(*row) for row in cursor.fetchall()}
    return locked


def _advance(
    consumer: str, expected: Mapping[Key, int], digests: Mapping[Key, str], since: int
) -> dict[Key, LockedCursor]:
    if not expected:
        return {}
    with connection.cursor() as cursor:
        values = _name(consumer, [*expected]) | _name_events([*expected], expected, digests)
        values["since"] = str(since)
        cursor.execute(_ADVANCE, values | _name_limits())
        moved = [(topic, key) for topic, key in cursor.fetchall()]
    return {
        key: LockedCursor(*key, stored=expected[key], last=expected[key] - 1, digest=digests.get(key)) for key in moved
    }


def move_cursors(consumer: str, cursors: Iterable[LockedCursor]) -> None:
    """Write `last` of those locked `cursors` whose row has another value."""
    moved = [cursor for cursor in cursors if cursor.last != cursor.stored]
    if moved:
        with connection.cursor() as db:
            keys = [(cursor.topic, cursor.key) for cursor in moved]
            db.execute(_MOVE, _name(consumer, keys) | {"lasts": to_array(cursor.last for cursor in moved)})


def count_repeats(consumer: str, keys: Sequence[Key]) -> None:
    """Add 1 to the repeats of each of the different, locked `keys`: a record of each was dropped as a duplicate."""
    if keys:
        with connection.cursor() as db:
            db.execute(_COUNT_REPEATS, _name(consumer, keys))


def park_cursor(
    consumer: str, cursor: LockedCursor, reason: str, traceback: str, pauses: list[float]
) -> datetime | None:
    """Park a locked cursor and return the time of its next try, or None if it has used up all `pauses` (seconds).

    The first 2,000 characters of `reason` and the last 8,000 of `traceback` are stored.
    """
    where = {"consumer": consumer, "topic": cursor.topic, "key": cursor.key}
    texts = {"reason": _clean(reason)[:2000], "traceback": _clean(traceback)[-8000:]}
    with connection.cursor() as db:
        db.execute(_PARK, where | texts | {"pauses": pauses})
        return db.fetchone()[0]  # type: ignore[no-any-return]


def _clean(text: str) -> str:
    """Return `text` without NUL characters and lone surrogates, which PostgreSQL's text can't hold."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def unpark_cursor(consumer: str, cursor: LockedCursor) -> None:
    """Unpark a locked cursor, so that new events of its key are applied again."""
    with connection.cursor() as db:
        db.execute(_UNPARK, {"consumer": consumer, "topic": cursor.topic, "key": cursor.key})


def _name_limits() -> dict[str, str]:
    return {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}


def _name(consumer: str, keys: Sequence[Key]) -> dict[str, str]:
    return {"consumer": consumer, "topics": to_array(t for t, _ in keys), "keys": to_array(k for _, k in keys)}


def _name_events(keys: Sequence[Key], expected: Mapping[Key, int], digests: Mapping[Key, str]) -> dict[str, str]:
    return {
        "expected": to_array(expected[key] for key in keys),
        "digests": to_array(digests.get(key, "") for key in keys),
    }


def read_end(key: Key) -> tuple[int, int]:
    """Return the last assigned sequence number of `key`, and its floor. Both are 0 if nothing was published for it."""
    with connection.cursor() as cursor:
        cursor.execute("select last, floor from relay_stream where topic = %s and key = %s", key)
        return cursor.fetchone() or (0, 0)


def read_outbox(cursor: LockedCursor, *, limit: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield (sequence, type, body, traceparent) of at most `limit` events that follow `cursor` without a gap."""
    with connection.cursor() as db:
        db.execute(
            "select sequence, type, body, traceparent from relay_outbox where topic = %s and key = %s and sequence > %s"
            " order by sequence limit %s",
            [cursor.topic, cursor.key, cursor.last, limit],
        )
        rows = db.fetchall()
    for expected, row in enumerate(rows, start=cursor.last + 1):
        if row[0] != expected:
            return
        yield row


def take_parked(consumer: str, limit: int = 50, *, newest_first: bool = False) -> list[Key]:
    """Claim at most `limit` parked keys whose next try is due, and return them. A claim ends after TRY_SECONDS."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_PARKED, [consumer, -1 if newest_first else 1, limit, TRY_SECONDS])
        return [(topic, key) for topic, key in cursor.fetchall()]
