"""Comparison of the outbox with the orders, and of each stream with its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from sys import intern

from django.db import connection

from relay.consumer.cursors import Key
from relay.consumer.registry import all_consumers
from relay.publisher.canary import CanarySent


@dataclass(frozen=True, slots=True)
class Behind:
    """A consumer's cursor that is behind the end of its stream. `parked` is the reason if the key is parked."""

    consumer: str
    key: Key
    reached: int
    last: int
    parked: str | None


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of all streams, the cursors that are behind, and the number of parked keys."""

    streams: dict[Key, tuple[int, int]]  # last sequence number assigned, last one marked as published
    behind: list[Behind]
    parked: int


_ENDS = """
select topic, key, coalesce(s.last, 0), coalesce(sent.last, 0)
from relay_stream s
full join (select topic, key, max(sequence) as last from relay_outbox where published_at is not null
           group by topic, key) sent using (topic, key)
where topic <> %s
"""
_BEHIND = """
select w.consumer, s.topic, s.key, coalesce(c.last, s.floor), s.last,
       case when c.parked_at is not null then c.reason end
from relay_stream s
join unnest(%s::text[], %s::text[]) as w (consumer, topic) on w.topic = s.topic
left join relay_cursor c on c.consumer = w.consumer and c.topic = s.topic and c.key = s.key
where s.last > coalesce(c.last, s.floor)
order by 1, 2, 3
"""


def read_ends() -> Ends:
    """Return the ends of all streams and the cursors that are behind. Skip canaries, which may be lost."""
    wanted = [(consumer.name, topic) for consumer in all_consumers() for topic in consumer.topics]
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, [list(column) for column in zip(*wanted, strict=True)])
        behind = [Behind(consumer, (topic, key), *columns) for consumer, topic, key, *columns in cursor]
        cursor.execute("select count(*) from relay_cursor where parked_at is not null")
        parked = cursor.fetchone()[0]
        cursor.execute(_ENDS, [CanarySent.topic])
        streams = {(intern(topic), key): (last, published) for topic, key, last, published in cursor}
    return Ends(streams, behind, parked)


def find_orders_without_events() -> Iterator[str]:
    """Report orders whose events in the outbox do not match their timestamps. Skip pruned keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with expected as (
                select id, number, unnest(array['OrderPlaced', 'OrderConfirmed', 'OrderShipped', 'OrderDelivered',
                                                'OrderCancelled']) as event,
                       unnest(array[placed_at, confirmed_at, shipped_at, delivered_at, cancelled_at]) as at
                from orders_order),
            said as (
                select key, split_part(type, '.', 1) as event, count(*) as times
                from relay_outbox where topic = 'shop.orders' group by 1, 2)
            select number, expected.event, coalesce(said.times, 0), (at is not null)::int
            from expected
            left join said on said.key = expected.id::text and said.event = expected.event
            left join relay_stream s on s.topic = 'shop.orders' and s.key = expected.id::text
            where coalesce(s.floor, 0) = 0 and coalesce(said.times, 0) <> (at is not null)::int
            """
        )
        for number, event, times, expected in cursor.fetchall():
            yield f"order {number} has {times} {event} events in the outbox, expected {expected}"
        cursor.execute(
            "select key, type from relay_outbox o where topic = 'shop.orders'"
            " and not exists (select from orders_order where id::text = o.key)"
        )
        for key, event_type in cursor.fetchall():
            yield f"the outbox holds {event_type} of order {key}, which does not exist"


def find_stream_gaps() -> Iterator[str]:
    """Report streams whose sequence numbers are not floor + 1 to last, once each, and event ids that are not unique."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select topic, key, coalesce(s.floor, 0), coalesce(s.last, 0), array_agg(o.sequence order by o.sequence)
            from relay_stream s full join relay_outbox o using (topic, key)
            where o.sequence is null or s.floor is null or o.sequence > s.floor
            group by topic, key, s.floor, s.last
            having count(o.sequence) <> coalesce(s.last - s.floor, 0)
                or count(distinct o.sequence) <> count(o.sequence)
                or max(o.sequence) is distinct from nullif(s.last, s.floor)
            """
        )
        for topic, key, floor, last, found in cursor.fetchall():
            missing = sorted(set(range(floor + 1, last + 1)) - set(found))
            what = f"lacks {missing[:10]}" if missing else f"contains {found[:20]}"
            yield f"stream {topic}/{key} should contain {floor + 1} to {last}, but {what}"
        cursor.execute("select event_id, count(*) from relay_outbox group by event_id having count(*) > 1")
        for event_id, times in cursor.fetchall():
            yield f"event {event_id} is {times} times in the outbox"
    yield from find_cursors_beyond_the_end()


def find_cursors_beyond_the_end() -> Iterator[str]:
    """Report cursors that are past the end of their stream, or whose stream does not exist."""
    consumers = [consumer.name for consumer in all_consumers()]
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.consumer, c.topic, c.key, c.last, coalesce(s.last, 0) from relay_cursor c"
            " left join relay_stream s on s.topic = c.topic and s.key = c.key"
            " where c.last > coalesce(s.last, 0) and c.consumer = any(%s)",
            [consumers],
        )
        for consumer, topic, key, last, end in cursor.fetchall():
            yield f"the cursor of {consumer} is at {last} in {topic}/{key}, which ends at {end}"


def find_rows_left_behind() -> Iterator[str]:
    """Report unpublished rows up to their shard's low watermark, except rows behind a refused row.

    The relays read only rows above the low watermark, so they would never publish the reported rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select o.position, o.type, o.topic, o.key from relay_outbox o
            join relay_shardlease l on l.shard = o.key_hash % 16 and o.position <= l.low_mark
            where o.published_at is null
              and not exists (select from relay_outbox r where r.topic = o.topic and r.key = o.key
                                and r.sequence <= o.sequence and r.refused_reason is not null)
            order by o.position
            """
        )
        for position, event_type, topic, key in cursor.fetchall():
            what = f"{event_type} of {topic}/{key}, position {position}"
            yield f"{what}, is not published and not above the low watermark: run relay_rescan to publish it"
