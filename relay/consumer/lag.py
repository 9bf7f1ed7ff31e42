"""What is still to be done: rows that wait for Kafka, and events that a consumer has not applied yet.

Only what lies above a mark is looked at, so that the price does not grow with what is done: the relays' low mark, up to
which everything is committed and published, and for each consumer and topic how far everything is applied. Nor does it
grow with what is to be done: where a consumer is far behind, what it has not applied is counted in a sample.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, inf
from typing import Any, NamedTuple

from django.db.backends.utils import CursorWrapper

from relay.consumer.consumer import Consumer
from relay.database import connection, transaction
from relay.partitions import read_low_mark, read_position

# A consumer's mark is written when it has moved by so many positions: rarely, and what lies above it is read quickly.
SETTLED_STEP = 10_000
# So many positions are looked at row by row, and of those beyond what waits there so many stretches of such a length.
SPAN = 50_000
STRETCHES, LENGTH = 100, 200

# A mark that is not there yet is made before anything is looked at, so that a rebuild meanwhile can take it away.
_SETTLED = """
with made as (
    insert into relay_settled (consumer, topic, position) select %(consumer)s, unnest(%(topics)s::text[]), 0
    on conflict do nothing returning topic, position)
select topic, position from made
union all select topic, position from relay_settled where consumer = %(consumer)s and topic = any(%(topics)s)
"""
_WAITING = """
select o.topic, count(*), count(distinct o.key),
       extract(epoch from clock_timestamp() - min(o.created_at))::float8, min(o.position)
from generate_series(%(after)s::bigint, %(until)s - 1, %(every)s) as start cross join lateral (
    select topic, key, sequence, position, created_at from relay_outbox
    where position > start and position <= least(start + %(length)s, %(until)s)
    offset 0) o  -- by position: read by topic, or through to the end and then left out, it would be all rows
join unnest(%(topics)s::text[], %(positions)s::bigint[]) as settled (topic, position)
    on o.topic = settled.topic and o.position > settled.position
left join lateral (select last, parked_at from relay_cursor
                   where consumer = %(consumer)s and topic = o.topic and key = o.key
                   offset 0) c on true  -- by its key each: joined, a table that is taken for empty is read for each row
where c.parked_at is null
  and o.sequence > coalesce(c.last, (select floor from relay_stream s where s.topic = o.topic and s.key = o.key), 0)
group by o.topic
"""
# A parked key is looked up by itself, so that it holds up no mark.
_PARKED = """
select count(*), coalesce(sum(s.last - c.last), 0)::bigint, count(s.last),
       coalesce(extract(epoch from clock_timestamp() - min(o.created_at)), 0)::float8
from relay_cursor c
left join relay_stream s on s.topic = c.topic and s.key = c.key and s.last > c.last and s.topic = any(%(topics)s)
left join relay_outbox o on o.topic = s.topic and o.key = s.key and o.sequence = c.last + 1
where c.consumer = %(consumer)s and c.parked_at is not null
"""

# A hash of all cursors, or of all streams, costs a second for each hundred thousand orders there ever were.
_ROW_BY_ROW = """
set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
set local enable_material = off; set local max_parallel_workers_per_gather = 0; set local jit = off
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Published and unpublished events that a consumer has not applied, the keys they belong to, and parked keys.

    `oldest_seconds` is the age of the oldest such event, those of parked keys (`parked_events` of them) included.
    Unless `exact`, there are too many to look at each: events and keys are then estimates, never 0.
    """

    events: int
    keys: int
    parked: int
    parked_events: int
    oldest_seconds: float = 0.0
    exact: bool = True


class _Waiting(NamedTuple):
    """What waits of a topic between two positions; `first` is the position of the first."""

    events: int
    keys: int
    oldest_seconds: float
    first: int


@contextmanager
def ask_indexes() -> Iterator[CursorWrapper]:
    """A cursor whose questions look up row by row, although old statistics may say that the tables are empty."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROW_BY_ROW)
        yield cursor


def read_lag(consumer: Consumer, *, seconds: float = inf) -> Lag:
    """Count what the consumer has not applied, and remember how far it has applied everything.

    After so many `seconds` of looking for the first that waits it estimates, and goes on from there the next time.
    """
    deadline = time.monotonic() + seconds
    topics, mark, last = consumer.topics, read_low_mark(), read_position()
    with ask_indexes() as cursor:
        cursor.execute(_SETTLED, {"consumer": consumer.name, "topics": topics})
        settled = dict.fromkeys(topics, 0) | dict(cursor.fetchall())  # one that is made just now elsewhere is not seen
        values: dict[str, Any] = {"consumer": consumer.name, "topics": topics}
        values["positions"] = [settled[topic] for topic in topics]
        waiting, looked = dict[str, _Waiting](), min(settled.values(), default=last)
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
    for topic, before in settled.items():
        upto = min(mark, waiting[topic].first - 1 if topic in waiting else looked)
        if upto >= before + SETTLED_STEP:
            _settle(consumer.name, topic, before, upto)
    return Lag(
        events=events + parked_events,
        keys=keys + parked_keys,
        parked=parked,
        parked_events=parked_events,
        oldest_seconds=max([oldest, *(w.oldest_seconds for w in waiting.values())]),
        exact=looked >= last,
    )


def _estimate(
    cursor: CursorWrapper, values: dict[str, Any], looked: int, last: int, events: int, keys: int
) -> tuple[int, int]:
    """Return how many events and keys wait about, where so many do up to the position `looked`; at least one."""
    every = ceil((last - looked) / STRETCHES)
    length = min(every, LENGTH)
    seen, keys_seen = _add_up(_count_waiting(cursor, values, looked, last, every=every, length=length))
    sample = sum(min(length, last - start) for start in range(looked, last, every))
    about = max(1, events + seen * (last - looked) // sample)
    return about, max(1, round(about * (keys + keys_seen) / max(1, events + seen)))


def _count_waiting(
    cursor: CursorWrapper, values: dict[str, Any], after: int, until: int, *, every: int, length: int
) -> dict[str, _Waiting]:
    """Count what waits after one position and until another, by topic, in a stretch of `length` `every` so many."""
    cursor.execute(_WAITING, values | {"after": after, "until": until, "every": every, "length": length})
    return {topic: _Waiting(*row) for topic, *row in cursor.fetchall()}


def _add_up(waiting: Mapping[str, _Waiting]) -> tuple[int, int]:
    return sum(topic.events for topic in waiting.values()), sum(topic.keys for topic in waiting.values())


def _settle(consumer: str, topic: str, before: int, after: int) -> None:
    """Move the mark, unless somebody has moved it meanwhile: a rebuild takes it away."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_settled set position = %s where consumer = %s and topic = %s and position = %s",
            [after, consumer, topic, before],
        )
