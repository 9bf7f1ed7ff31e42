"""The lag of consumers: events in the outbox that they have not applied.

The cost does not grow with the number of applied events: the count starts at the position up to which a consumer has
applied everything, stored for each consumer and topic. The cost does not grow with a large backlog either: above SPAN
positions the backlog is estimated from a sample.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from relay.arrays import to_array
from relay.consumer.consumer import Consumer
from relay.consumer.watermarks import Watermarks, raise_watermarks, read_watermarks, use_indexes
from relay.partitions import read_low_watermark, read_position

# Positions that one query counts exactly. Beyond the first unapplied events, STRETCHES samples of LENGTH positions.
SPAN = 5_000
STRETCHES, LENGTH = 100, 50

# Scan the outbox once for several consumers, and look up one cursor for all events of a key: most keys are complete.
_WAITING = """
with event as materialized (
    select o.* from generate_series(%(after)s::bigint, %(until)s - 1, %(every)s) as start cross join lateral (
        select topic, key, sequence, position, created_at from relay_outbox
        where position > start and position <= least(start + %(length)s, %(until)s)
        offset 0) o),  -- keeps the scan by position: any other plan reads all rows
stream as materialized (
    select topic, key, max(sequence) as newest, array_agg(sequence) as sequences, array_agg(position) as positions,
           array_agg(created_at) as times
    from event group by topic, key),
behind as materialized (  -- looks up the cursors before it lists events
    select read.consumer, read.position as watermark, stream.*, applied.last
    from unnest(%(consumers)s::text[], %(topics)s::text[], %(positions)s::bigint[]) as read (consumer, topic, position)
    join stream using (topic)
    left join lateral (select last, parked_at from relay_cursor
                       where consumer = read.consumer and topic = stream.topic and key = stream.key
                       offset 0) c on true  -- keeps the lookup by key: a join may scan the whole table for each row
    cross join lateral (select coalesce(
        c.last, (select floor from relay_stream s where s.topic = stream.topic and s.key = stream.key), 0
    ) as last offset 0) applied  -- keeps one lookup of the floor: a planner that inlines it looks it up twice
    where c.parked_at is null and stream.newest > applied.last)
select consumer, topic, count(*), count(distinct key),
       extract(epoch from clock_timestamp() - min(created_at))::float8, min(position)
from behind cross join lateral unnest(sequences, positions, times) as e (sequence, position, created_at)
where sequence > last and position > watermark
group by consumer, topic
"""
# Count parked keys separately, so that they do not hold back the watermark.
_PARKED = """
select c.consumer, count(*), coalesce(sum(s.last - c.last), 0)::bigint, count(s.last),
       coalesce(extract(epoch from clock_timestamp() - min(o.created_at)), 0)::float8
from unnest(%(names)s::text[]) as named (consumer) cross join lateral (
    select consumer, topic, key, last from relay_cursor
    where consumer = named.consumer and parked_at is not null offset 0) c
left join relay_stream s on s.topic = c.topic and s.key = c.key and s.last > c.last and exists (
    select from unnest(%(consumers)s::text[], %(topics)s::text[]) as read (consumer, topic)
    where read.consumer = c.consumer and read.topic = s.topic)
left join relay_outbox o on o.topic = s.topic and o.key = s.key and o.sequence = c.last + 1
group by c.consumer
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


class _Parked(NamedTuple):
    """The parked keys of a consumer and their unapplied events; `keys_behind` is the number of keys with some."""

    keys: int = 0
    events: int = 0
    keys_behind: int = 0
    oldest_seconds: float = 0.0


@dataclass(slots=True)
class _Count:
    """The count of a consumer up to the position `looked`: its unapplied events by topic."""

    looked: int
    waiting: dict[str, _Waiting]


def read_lag(consumer: Consumer, *, seconds: float = inf) -> Lag:
    """Return the lag of `consumer`. See :func:`read_lags`."""
    return read_lags([consumer], seconds=seconds)[consumer.name]


def read_lags(consumers: Sequence[Consumer], *, seconds: float = inf) -> dict[str, Lag]:
    """Return the lag of each consumer by name, and store the positions up to which they have applied everything.

    After `seconds` without finding an unapplied event, estimate the remainder; the next call continues from there.
    """
    deadline = time.monotonic() + seconds
    low_watermark, last = read_low_watermark(), read_position()
    with use_indexes() as cursor:
        watermarks = read_watermarks(cursor, {consumer.name: consumer.topics for consumer in consumers})
        counts = _count(cursor, watermarks, last, deadline)
        sums = {name: _add_up(count.waiting) for name, count in counts.items()}
        for name, count in counts.items():
            if count.looked < last:
                sums[name] = _estimate(cursor, watermarks, name, count.looked, last, sums[name])
        cursor.execute(_PARKED, _name_watermarks(watermarks))
        parked = {name: _Parked(*row) for name, *row in cursor.fetchall()}
    ends = {name: _find_ends(counts[name], its, low_watermark) for name, its in watermarks.items()}
    raise_watermarks(watermarks, ends)
    return {
        name: _describe(count, sums[name], parked.get(name, _Parked()), exact=count.looked >= last)
        for name, count in counts.items()
    }


def _describe(count: _Count, waiting: tuple[int, int], parked: _Parked, *, exact: bool) -> Lag:
    behind = max((topic.oldest_seconds for topic in count.waiting.values()), default=0.0)
    return Lag(
        events=waiting[0] + parked.events,
        keys=waiting[1] + parked.keys_behind,
        parked=parked.keys,
        parked_events=parked.events,
        oldest_seconds=max(parked.oldest_seconds, behind),
        exact=exact,
        behind_seconds=behind,
    )


def _find_ends(count: _Count, topics: Mapping[str, int], low_watermark: int) -> dict[str, int]:
    """Return, by topic, the position up to which everything is published and applied."""
    ends = {topic: count.waiting[topic].first - 1 if topic in count.waiting else count.looked for topic in topics}
    return {topic: min(low_watermark, end) for topic, end in ends.items()}


def _count(cursor: CursorWrapper, watermarks: Watermarks, last: int, deadline: float) -> dict[str, _Count]:
    """Count from the lowest watermark of each consumer, SPAN positions at a time, until unapplied events are found."""
    counts = {name: _Count(min(its.values(), default=last), {}) for name, its in watermarks.items()}
    while pending := [name for name, count in counts.items() if count.looked < last and not count.waiting]:
        for names in _join_near(pending, counts, last):
            after = min(counts[name].looked for name in names)
            until = min(after + SPAN, last)
            found = _count_waiting(cursor, watermarks, names, after, until, every=SPAN, length=SPAN)
            counts |= {name: _Count(until, found.get(name, {})) for name in names}
        if time.monotonic() > deadline:
            break
    return counts


def _join_near(pending: Sequence[str], counts: Mapping[str, _Count], last: int) -> list[list[str]]:
    """Return groups of the `pending` consumers for one scan each: those within SPAN of the end share one."""
    near = [name for name in pending if last - counts[name].looked <= SPAN]
    return [*([near] if near else []), *([name] for name in pending if name not in near)]


def _estimate(
    cursor: CursorWrapper, watermarks: Watermarks, name: str, looked: int, last: int, known: tuple[int, int]
) -> tuple[int, int]:
    """Return estimates of all unapplied events and keys, at least 1. `known` counts those up to position `looked`."""
    events, keys = known
    every = ceil((last - looked) / STRETCHES)
    length = min(every, LENGTH)
    found = _count_waiting(cursor, watermarks, [name], looked, last, every=every, length=length)
    seen, keys_seen = _add_up(found.get(name, {}))
    sample = sum(min(length, last - start) for start in range(looked, last, every))
    about = max(1, events + seen * (last - looked) // sample)
    return about, max(1, round(about * (keys + keys_seen) / max(1, events + seen)))


def _count_waiting(
    cursor: CursorWrapper,
    watermarks: Watermarks,
    names: Sequence[str],
    after: int,
    until: int,
    *,
    every: int,
    length: int,
) -> dict[str, dict[str, _Waiting]]:
    """Count the unapplied events of the consumers `names` by consumer and topic.

    Counts in (after, until], in stretches of `length` that start `every` apart.
    """
    values = _name_watermarks({name: watermarks[name] for name in names})
    cursor.execute(_WAITING, values | {"after": after, "until": until, "every": every, "length": length})
    found: dict[str, dict[str, _Waiting]] = {}
    for consumer, topic, *row in cursor.fetchall():
        found.setdefault(consumer, {})[topic] = _Waiting(*row)
    return found


def _add_up(waiting: Mapping[str, _Waiting]) -> tuple[int, int]:
    return sum(topic.events for topic in waiting.values()), sum(topic.keys for topic in waiting.values())


def _name_watermarks(watermarks: Watermarks) -> dict[str, Any]:
    rows = [(name, topic, position) for name, its in watermarks.items() for topic, position in its.items()]
    columns = ([row[n] for row in rows] for n in range(3))
    values = dict(zip(("consumers", "topics", "positions"), map(to_array, columns), strict=True))
    return values | {"names": to_array(watermarks)}
