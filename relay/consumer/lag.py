"""The lag of a consumer: events in the outbox that it has not applied.

The cost does not grow with the number of applied events: the count starts at the position up to which the consumer has
applied everything, stored for each consumer and topic. The cost does not grow with a large backlog either: above SPAN
positions the backlog is estimated from a sample.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from relay.consumer.consumer import Consumer
from relay.consumer.watermarks import raise_watermarks, read_watermarks, use_indexes
from relay.partitions import read_low_watermark, read_position

# Positions that one query counts exactly. Beyond the first unapplied events, STRETCHES samples of LENGTH positions.
SPAN = 50_000
STRETCHES, LENGTH = 100, 200

_WAITING = """
select o.topic, count(*), count(distinct o.key),
       extract(epoch from clock_timestamp() - min(o.created_at))::float8, min(o.position)
from generate_series(%(after)s::bigint, %(until)s - 1, %(every)s) as start cross join lateral (
    select topic, key, sequence, position, created_at from relay_outbox
    where position > start and position <= least(start + %(length)s, %(until)s)
    offset 0) o  -- keeps the scan by position: any other plan reads all rows
join unnest(%(topics)s::text[], %(positions)s::bigint[]) as watermark (topic, position)
    on o.topic = watermark.topic and o.position > watermark.position
left join lateral (select last, parked_at from relay_cursor
                   where consumer = %(consumer)s and topic = o.topic and key = o.key
                   offset 0) c on true  -- keeps the lookup by key: a join may scan the whole table for each row
where c.parked_at is null
  and o.sequence > coalesce(c.last, (select floor from relay_stream s where s.topic = o.topic and s.key = o.key), 0)
group by o.topic
"""
# Count parked keys separately, so that they do not hold back the watermark.
_PARKED = """
select count(*), coalesce(sum(s.last - c.last), 0)::bigint, count(s.last),
       coalesce(extract(epoch from clock_timestamp() - min(o.created_at)), 0)::float8
from relay_cursor c
left join relay_stream s on s.topic = c.topic and s.key = c.key and s.last > c.last and s.topic = any(%(topics)s)
left join relay_outbox o on o.topic = s.topic and o.key = s.key and o.sequence = c.last + 1
where c.consumer = %(consumer)s and c.parked_at is not null
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Events that a consumer has not applied, published or not, and the number of their keys and of parked keys.

    `oldest_seconds` is the age of the oldest of these events. All figures include the `parked_events` of parked keys,
    except `behind_seconds`, the age of the oldest event of the other keys. Unless `exact`, `events` and `keys` are
    estimates, and at least 1.
    """

    events: int
    keys: int
    parked: int
    parked_events: int
    oldest_seconds: float = 0.0
    exact: bool = True
    behind_seconds: float = 0.0


class _Waiting(NamedTuple):
    """The unapplied events of a topic in a range of positions; `first` is the lowest of their positions."""

    events: int
    keys: int
    oldest_seconds: float
    first: int


def read_lag(consumer: Consumer, *, seconds: float = inf) -> Lag:
    """Return the lag of `consumer`, and store the positions up to which it has applied everything.

    After `seconds` without finding an unapplied event, estimate the remainder; the next call continues from there.
    """
    deadline = time.monotonic() + seconds
    topics, low_watermark, last = consumer.topics, read_low_watermark(), read_position()
    with use_indexes() as cursor:
        watermarks = read_watermarks(cursor, consumer.name, topics)
        values: dict[str, Any] = {"consumer": consumer.name, "topics": topics}
        values["positions"] = [watermarks[topic] for topic in topics]
        waiting, looked = dict[str, _Waiting](), min(watermarks.values(), default=last)
        while looked < last:
            after, looked = looked, min(looked + SPAN, last)
            waiting = _count_waiting(cursor, values, after, looked, every=SPAN, length=SPAN)
            if waiting or time.monotonic() > deadline:
                break
        events, keys = _add_up(waiting)
        if looked < last:
            events, keys = _estimate(cursor, values, looked, last, events, keys)
        cursor.execute(_PARKED, values)
        parked, parked_events, parked_keys, oldest = cursor.fetchone()
    behind = max((topic.oldest_seconds for topic in waiting.values()), default=0.0)
    ends = {topic: waiting[topic].first - 1 if topic in waiting else looked for topic in topics}
    raise_watermarks(consumer.name, watermarks, {topic: min(low_watermark, end) for topic, end in ends.items()})
    return Lag(
        events=events + parked_events,
        keys=keys + parked_keys,
        parked=parked,
        parked_events=parked_events,
        oldest_seconds=max(oldest, behind),
        exact=looked >= last,
        behind_seconds=behind,
    )


def _estimate(
    cursor: CursorWrapper, values: dict[str, Any], looked: int, last: int, events: int, keys: int
) -> tuple[int, int]:
    """Return estimates of all unapplied events and keys, at least 1, from the counts up to position `looked`."""
    every = ceil((last - looked) / STRETCHES)
    length = min(every, LENGTH)
    seen, keys_seen = _add_up(_count_waiting(cursor, values, looked, last, every=every, length=length))
    sample = sum(min(length, last - start) for start in range(looked, last, every))
    about = max(1, events + seen * (last - looked) // sample)
    return about, max(1, round(about * (keys + keys_seen) / max(1, events + seen)))


def _count_waiting(
    cursor: CursorWrapper, values: dict[str, Any], after: int, until: int, *, every: int, length: int
) -> dict[str, _Waiting]:
    """Count the unapplied events of each topic in (after, until], in stretches of `length` that start `every` apart."""
    cursor.execute(_WAITING, values | {"after": after, "until": until, "every": every, "length": length})
    return {topic: _Waiting(*row) for topic, *row in cursor.fetchall()}


def _add_up(waiting: Mapping[str, _Waiting]) -> tuple[int, int]:
    return sum(topic.events for topic in waiting.values()), sum(topic.keys for topic in waiting.values())
