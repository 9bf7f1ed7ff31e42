"""Replay of a stretch of the outbox in steps of limited time, so that a page can run it and pause between the steps.

Positions of a stretch are a half-open range: (after, until].
"""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from relay.consumer.arrivals import Arrival, read_arrival
from relay.consumer.consumer import Consumer
from relay.consumer.watermarks import use_indexes
from relay.database import connection
from relay.operations import Refused
from relay.operations.replay import ReplayResult, Span, find_start, give
from relay.partitions import read_position

# Positions that one statement reads.
WINDOW, GIVEN = 5000, 500

_ROWS = """
select topic, key, sequence, type, body, traceparent from relay_outbox
where position > %s and position <= %s and topic = any(%s) and published_at is not null order by position
"""
# An event is the first of its key in the stretch if the event before it is not in the stretch.
_COUNT = """
select count(*),
       count(*) filter (where not exists (
           select from relay_outbox p where p.key = o.key and p.topic = o.topic and p.sequence = o.sequence - 1
                                        and p.position > %(start)s)),
       count(*) filter (where o.sequence <= coalesce(c.last, 0)),
       count(*) filter (where o.sequence > coalesce(c.last, 0) and c.parked_at is not null)
from (select topic, key, sequence from relay_outbox
      where position > %(after)s and position <= %(until)s and topic = any(%(topics)s) and published_at is not null
      offset 0) o
left join lateral (select last, parked_at from relay_cursor
                   where consumer = %(consumer)s and topic = o.topic and key = o.key
                   offset 0) c on true
"""


class Stretch(NamedTuple):
    """All positions from `first` to `last`, both included."""

    first: int
    last: int


@dataclass(slots=True)
class Counts:
    """Numbers of a dry run: events and their keys, events that were applied before, and events of parked keys."""

    events: int = 0
    keys: int = 0
    applied_before: int = 0
    parked: int = 0

    @property
    def to_apply(self) -> int:
        """The number of events that a run would apply now."""
        return self.events - self.applied_before - self.parked


def find_stretch(since: datetime | int, until: datetime | int | None) -> Stretch:
    """Return the stretch between two times or two positions. None as `until` means the newest event.

    :raises Refused: the stretch is empty, or begins before the oldest event in the outbox.
    """
    newest = read_position()
    first = since if isinstance(since, int) else find_start(Span(since=since))
    last = newest if until is None else until if isinstance(until, int) else find_start(Span(since=until)) - 1
    oldest = _read_oldest()
    if first < oldest and _has_pruned():
        raise Refused(f"the outbox holds positions since {oldest:,}: older events are pruned")
    stretch = Stretch(max(first, oldest, 1), min(last, newest))
    if stretch.first > stretch.last:
        raise Refused(f"the span is empty: it would begin at position {stretch.first:,} and end at {stretch.last:,}")
    return stretch


def _read_oldest() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(min(position), 0) from relay_outbox")
        return int(cursor.fetchone()[0])


def _has_pruned() -> bool:
    """Return whether events are pruned. This may read all streams, so call it only for a position below the oldest."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from relay_stream where floor > 0)")
        return bool(cursor.fetchone()[0])


def count_step(consumer: Consumer, start: int, after: int, until: int, counts: Counts, *, seconds: float) -> int:
    """Add the events after the position `after` to `counts`, for about `seconds`; return the reached position.

    :param start: the position before the first one of the whole stretch.
    """
    deadline = time.monotonic() + seconds
    while after < until:
        end = min(after + WINDOW, until)
        values: dict[str, Any] = {
            "start": start,
            "after": after,
            "until": end,
            "topics": consumer.topics,
            "consumer": consumer.name,
        }
        with use_indexes() as cursor:
            cursor.execute(_COUNT, values)
            events, keys, applied_before, parked = cursor.fetchone()
        counts.events += events
        counts.keys += keys
        counts.applied_before += applied_before
        counts.parked += parked
        after = end
        if time.monotonic() >= deadline:
            break
    return after


def replay_step(
    consumer: Consumer, after: int, until: int, result: ReplayResult, *, seconds: float, most_waiting: int
) -> int:
    """Apply the events after the position `after`, for about `seconds`; return the reached position.

    Stop early when more than `most_waiting` events of the whole run wait behind parked keys.
    """
    deadline = time.monotonic() + seconds
    while after < until:
        end = min(after + GIVEN, until)
        if arrivals := _read_arrivals(consumer, after, end):
            give(consumer, arrivals, result, dry_run=False)
        after = end
        if time.monotonic() >= deadline or result.waiting > most_waiting:
            break
    return after


def _read_arrivals(consumer: Consumer, after: int, until: int) -> list[Arrival]:
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [after, until, consumer.topics])
        return [read_arrival((topic, key), *row) for topic, key, *row in cursor.fetchall()]


def as_figures(counts: Counts) -> dict[str, int]:
    """Return `counts` as JSON-like data, with `to_apply`."""
    return asdict(counts) | {"to_apply": counts.to_apply}
