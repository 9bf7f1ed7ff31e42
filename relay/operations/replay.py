"""Replay: give a consumer events again, read from the outbox in the order of their positions.

The consumer's cursors suppress events that it has applied. Only a rebuild applies events again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from relay.consumer.arrivals import Arrival, read_arrival
from relay.consumer.consumer import Consumer
from relay.consumer.cursors import Key
from relay.database import connection, transaction
from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention
from relay.operations.fence import fence_off_pruning
from relay.partitions import retry_while_busy

CHUNK_ROWS = 500
# The database's clock may have been set back by at most this. A replay since a time then still finds its first event.
CLOCK_MARGIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A selection of events in the consumer's topics: one key, or all events since a time, or all events."""

    key: str | None = None
    since: datetime | None = None


@dataclass(slots=True)
class ReplayResult:
    """Numbers of events by outcome. `waiting` events belong to a parked key or follow a refused row.

    `pruned` events are at or below the floor of their key and can't be read again.
    """

    read: int = 0
    applied: int = 0
    suppressed: int = 0
    waiting: int = 0
    pruned: int = 0


def replay(consumer: Consumer, span: Span, *, actor: str, reason: str = "", dry_run: bool = False) -> ReplayResult:
    """Apply the events of `span` in this process and return the numbers. A dry run only counts.

    :raises Refused: the span begins before the oldest event in the outbox.
    :raises OperationalError: the database failed. Applied events stay applied, and repeating the replay is safe.
    """
    start = find_start(span)
    result = ReplayResult(pruned=count_pruned(consumer, span))
    if not dry_run:
        record_intervention(
            "replay", actor=actor, reason=reason, consumer=consumer.name, key=span.key or "", after=f"{span}"
        )
    for arrivals in read_chunks(consumer.topics, span, start):
        give(consumer, arrivals, result, dry_run=dry_run)
    return result


def rebuild(consumer: Consumer, *, actor: str, reason: str, dry_run: bool = False) -> ReplayResult:
    """Empty the consumer's tables, delete its cursors, and apply every event of the outbox again.

    Processes of the consumer may run meanwhile: the cursors ensure that each event is applied once.

    :raises Refused: the consumer has no `rebuild` function, or some of its events are pruned.
    """
    demand_reason(reason)
    if consumer.rebuilt_by:
        raise Refused(f"{consumer.name} has its own rebuild, which empties no table first: {consumer.rebuilt_by}")
    if consumer.rebuild is None:
        raise Refused(
            f"{consumer.name} can't be rebuilt: it may have effects outside its own tables. "
            "If it has none, declare Consumer(..., rebuild=<function that empties its tables>)"
        )
    pruned = count_pruned(consumer, Span())
    if pruned:
        raise Refused(f"{pruned} events of {', '.join(consumer.topics)} are pruned: a rebuild would lack them")
    if dry_run:
        return ReplayResult(read=count_published(consumer.topics), applied=count_published(consumer.topics))
    reset(consumer, actor=actor, reason=reason)
    return replay(consumer, Span(), actor=actor, reason=f"rebuild: {reason}")


def reset(consumer: Consumer, *, actor: str, reason: str) -> None:
    """Delete the consumer's cursors and empty its tables in one transaction.

    All consumers wait for this transaction. Otherwise a consumer with an already locked cursor could write an effect to
    the emptied tables.

    :raises Refused: events were pruned in the meantime.
    """
    assert consumer.rebuild
    with transaction.atomic(), connection.cursor() as cursor:
        fence_off_pruning()
        # All consumers queue behind this lock, so fail instead of waiting for a long transaction.
        cursor.execute("set local lock_timeout = '5s'")
        cursor.execute("lock table relay_cursor in exclusive mode")
        pruned = count_pruned(consumer, Span())
        if pruned:
            raise Refused(f"{pruned} events were pruned a moment ago: a rebuild would lack them")
        cursor.execute("delete from relay_cursor where consumer = %s", [consumer.name])
        cursors = cursor.rowcount
        cursor.execute("delete from relay_settled where consumer = %s", [consumer.name])
        consumer.rebuild()
        record_intervention(
            "rebuild",
            actor=actor,
            reason=reason,
            consumer=consumer.name,
            before=f"{cursors} cursors",
            after="none",
        )


def find_start(span: Span) -> int:
    """Return the first position of `span`: the lowest position that was created at `span.since` or later.

    Creation times increase with positions, except where the database's clock was set back. The binary search therefore
    looks for a time that is CLOCK_MARGIN earlier.

    :raises Refused: the span begins before the oldest event in the outbox.
    """
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(min(position), 0), coalesce(max(position), 0) from relay_outbox")
        low, high = cursor.fetchone()
        if span.since is None:
            return int(low)
        cursor.execute("select exists (select from relay_stream where floor > 0)")
        (pruned,) = cursor.fetchone()
        if pruned and (created := _created_at(low)) and span.since < created:
            raise Refused(f"the outbox holds events since {created:%Y-%m-%d %H:%M:%S %Z}: older events are pruned")
        early = _search(low, high, span.since - CLOCK_MARGIN)
        cursor.execute(
            "select position from relay_outbox where position >= %s and created_at >= %s order by position limit 1",
            [early, span.since],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else int(high) + 1


def _search(low: int, high: int, since: datetime) -> int:
    """Return a position in [low, high] by binary search. Without jumps of the clock it is the first since `since`."""
    while low < high:
        middle = (low + high) // 2
        created = _created_at(middle)
        if created is not None and created < since:
            low = middle + 1
        else:
            high = middle
    return low


def _created_at(position: int) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute("select created_at from relay_outbox where position >= %s order by position limit 1", [position])
        row = cursor.fetchone()
    return row[0] if row else None


def read_chunks(topics: list[str], span: Span, start: int) -> Iterator[list[Arrival]]:
    """Yield the published events of `span`, from position `start`, in the order of their positions.

    Positions decide and not creation times: after `start` the clock may have been set back.
    """
    position = start - 1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "select position, topic, key, sequence, type, body, traceparent from relay_outbox"
                " where position > %s and topic = any(%s) and published_at is not null"
                " and (%s::text is null or key = %s)"
                " order by position limit %s",
                [position, topics, span.key, span.key, CHUNK_ROWS],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield [read_arrival((topic, key), *row) for _, topic, key, *row in rows]
        position = rows[-1][0]


def give(consumer: Consumer, arrivals: Sequence[Arrival], result: ReplayResult, *, dry_run: bool) -> None:
    """Apply a chunk and add its numbers to `result`, derived from the cursors before and after."""
    keys = sorted({arrival.key for arrival in arrivals})
    before, parked = read_cursors(consumer.name, keys)
    fresh = [arrival for arrival in arrivals if arrival.sequence > before.get(arrival.key, 0)]
    result.read += len(arrivals)
    result.suppressed += len(arrivals) - len(fresh)
    if dry_run:
        waiting = sum(arrival.key in parked for arrival in fresh)
    else:
        # Retrying is safe: the cursors suppress the events that were applied before the error.
        retry_while_busy(partial(consumer.apply, consumer.arrange(fresh)))
        after, _ = read_cursors(consumer.name, keys)
        waiting = sum(arrival.sequence > after.get(arrival.key, 0) for arrival in fresh)
    result.waiting += waiting
    result.applied += len(fresh) - waiting


def read_cursors(consumer: str, keys: list[Key]) -> tuple[dict[Key, int], set[Key]]:
    """Return the last applied sequence number of each of `keys`, and the set of parked keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select topic, key, last, parked_at is not null from relay_cursor where consumer = %s"
            " and (topic, key) in (select * from unnest(%s::text[], %s::text[]))",
            [consumer, [topic for topic, _ in keys], [key for _, key in keys]],
        )
        found = cursor.fetchall()
    return {(t, k): last for t, k, last, _ in found}, {(t, k) for t, k, _, parked in found if parked}


def count_pruned(consumer: Consumer, span: Span) -> int:
    """Return the number of pruned events of `span`; 0 for a span since a time, which find_start() checks."""
    if span.since is not None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(floor), 0)::bigint from relay_stream"
            " where topic = any(%s) and (%s::text is null or key = %s)",
            [consumer.topics, span.key, span.key],
        )
        return int(cursor.fetchone()[0])


def count_published(topics: list[str]) -> int:
    """Return the number of published events of `topics` in the outbox."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from relay_outbox where topic = any(%s) and published_at is not null", [topics])
        return int(cursor.fetchone()[0])
