"""The outbox against the orders, and each stream against its own rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from relay.cursors import Key
from relay.lag import all_consumers


@dataclass(frozen=True, slots=True)
class Ends:
    """How far each key has come, read at one moment."""

    streams: dict[Key, tuple[int, int]]  # last sequence given out, floor
    published: dict[Key, int]  # last sequence marked as published
    cursors: dict[tuple[str, Key], int]  # by consumer and key
    parked: dict[tuple[str, Key], str]  # the reason


def read_ends() -> Ends:
    """Read every stream, the end of its published rows, and every cursor."""
    with connection.cursor() as cursor:
        # Cursors first: a stream read later can only be further on.
        cursor.execute("select consumer, topic, key, last, parked_at is not null, reason from relay_cursor")
        rows = cursor.fetchall()
        cursor.execute(
            "select topic, key, max(sequence) from relay_outbox where published_at is not null group by topic, key"
        )
        published = {(topic, key): last for topic, key, last in cursor.fetchall()}
        cursor.execute("select topic, key, last, floor from relay_stream")
        streams = {(topic, key): (last, floor) for topic, key, last, floor in cursor.fetchall()}
    return Ends(
        streams=streams,
        published=published,
        cursors={(consumer, (topic, key)): last for consumer, topic, key, last, _, _ in rows},
        parked={(consumer, (topic, key)): reason for consumer, topic, key, _, parked, reason in rows if parked},
    )


def find_orders_without_events() -> Iterator[str]:
    """Name the orders whose rows in the outbox do not say what their status says, unless pruned."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with expected as (
                select id, number, event from orders_order
                cross join lateral (values ('OrderPlaced', placed_at), ('OrderConfirmed', confirmed_at),
                    ('OrderShipped', shipped_at), ('OrderDelivered', delivered_at), ('OrderCancelled', cancelled_at)
                ) as happened (event, at)
                where at is not null)
            select number, event from expected
            left join relay_stream s on s.topic = 'shop.orders' and s.key = expected.id::text
            where coalesce(s.floor, 0) = 0
              and not exists (select from relay_outbox o where o.topic = 'shop.orders' and o.key = expected.id::text
                                and split_part(o.type, '.', 1) = event)
            """
        )
        for number, event in cursor.fetchall():
            yield f"order {number} has no {event} in the outbox"
        cursor.execute(
            "select key, type from relay_outbox o where topic = 'shop.orders'"
            " and not exists (select from orders_order where id::text = o.key)"
        )
        for key, event_type in cursor.fetchall():
            yield f"the outbox holds {event_type} of order {key}, which does not exist"


def find_stream_gaps() -> Iterator[str]:
    """Name the streams whose rows are not floor + 1 … last, each once."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select s.topic, s.key, s.floor, s.last, array_agg(o.sequence order by o.sequence)
            from relay_stream s left join relay_outbox o
              on o.topic = s.topic and o.key = s.key and o.sequence > s.floor
            group by s.topic, s.key, s.floor, s.last
            having count(o.sequence) <> s.last - s.floor or count(distinct o.sequence) <> count(o.sequence)
                or max(o.sequence) is distinct from nullif(s.last, s.floor)
            """
        )
        for topic, key, floor, last, found in cursor.fetchall():
            missing = sorted(set(range(floor + 1, last + 1)) - set(found))
            what = f"lacks {missing[:10]}" if missing else f"holds {found[:20]}"
            yield f"stream {topic}/{key} should hold {floor + 1} to {last} and {what}"
    yield from find_cursors_beyond_the_end()


def find_cursors_beyond_the_end() -> Iterator[str]:
    """Name the consumers whose cursor is beyond the end of its stream."""
    consumers = [consumer.name for consumer in all_consumers()]
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.consumer, c.topic, c.key, c.last, s.last from relay_cursor c"
            " join relay_stream s on s.topic = c.topic and s.key = c.key"
            " where c.last > s.last and c.consumer = any(%s)",
            [consumers],
        )
        for consumer, topic, key, last, end in cursor.fetchall():
            yield f"{consumer} stands at {last} in {topic}/{key}, which ends at {end}"
