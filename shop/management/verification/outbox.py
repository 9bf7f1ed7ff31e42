"""The outbox against the orders, and each stream against its own rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection

from relay.cursors import Key
from relay.health.canary import CanarySent
from relay.health.lag import all_consumers


@dataclass(frozen=True, slots=True)
class Ends:
    """How far each key has come, read at one moment."""

    streams: dict[Key, tuple[int, int]]  # last sequence given out, floor
    published: dict[Key, int]  # last sequence marked as published
    cursors: dict[tuple[str, Key], int]  # by consumer and key
    parked: dict[tuple[str, Key], str]  # the reason


def read_ends() -> Ends:
    """Read every stream, the end of its published rows, and every cursor. Canaries may be lost: they are left out."""
    with connection.cursor() as cursor:
        # Cursors first: a stream read later can only be further on.
        cursor.execute(
            "select consumer, topic, key, last, parked_at is not null, reason from relay_cursor where topic <> %s",
            [CanarySent.topic],
        )
        rows = cursor.fetchall()
        cursor.execute(
            "select topic, key, max(sequence) from relay_outbox"
            " where published_at is not null and topic <> %s group by topic, key",
            [CanarySent.topic],
        )
        published = {(topic, key): last for topic, key, last in cursor.fetchall()}
        cursor.execute("select topic, key, last, floor from relay_stream where topic <> %s", [CanarySent.topic])
        streams = {(topic, key): (last, floor) for topic, key, last, floor in cursor.fetchall()}
    return Ends(
        streams=streams,
        published=published,
        cursors={(consumer, (topic, key)): last for consumer, topic, key, last, _, _ in rows},
        parked={(consumer, (topic, key)): reason for consumer, topic, key, _, parked, reason in rows if parked},
    )


def read_last(keys: list[Key]) -> dict[Key, int]:
    """Read the last sequence number given out for each of `keys`, as it is now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select topic, key, last from relay_stream"
            " where (topic, key) in (select * from unnest(%s::text[], %s::text[]))",
            [[topic for topic, _ in keys], [key for _, key in keys]],
        )
        return {(topic, key): last for topic, key, last in cursor.fetchall()}


def find_orders_without_events() -> Iterator[str]:
    """Name the orders whose rows in the outbox do not say, once each, what their status says, unless pruned."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with expected as (
                select id, number, event, (at is not null)::int as times from orders_order
                cross join lateral (values ('OrderPlaced', placed_at), ('OrderConfirmed', confirmed_at),
                    ('OrderShipped', shipped_at), ('OrderDelivered', delivered_at), ('OrderCancelled', cancelled_at)
                ) as happened (event, at)),
            said as (
                select key, split_part(type, '.', 1) as event, count(*) as times
                from relay_outbox where topic = 'shop.orders' group by 1, 2)
            select number, expected.event, coalesce(said.times, 0), expected.times
            from expected
            left join said on said.key = expected.id::text and said.event = expected.event
            left join relay_stream s on s.topic = 'shop.orders' and s.key = expected.id::text
            where coalesce(s.floor, 0) = 0 and coalesce(said.times, 0) <> expected.times
            """
        )
        for number, event, times, expected in cursor.fetchall():
            yield f"order {number} has {times} {event} in the outbox, not {expected}"
        cursor.execute(
            "select key, type from relay_outbox o where topic = 'shop.orders'"
            " and not exists (select from orders_order where id::text = o.key)"
        )
        for key, event_type in cursor.fetchall():
            yield f"the outbox holds {event_type} of order {key}, which does not exist"


def find_stream_gaps() -> Iterator[str]:
    """Name the streams whose rows are not floor + 1 … last, each once, and events that stand in the outbox twice."""
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
            what = f"lacks {missing[:10]}" if missing else f"holds {found[:20]}"
            yield f"stream {topic}/{key} should hold {floor + 1} to {last} and {what}"
        cursor.execute("select event_id, count(*) from relay_outbox group by event_id having count(*) > 1")
        for event_id, times in cursor.fetchall():
            yield f"event {event_id} stands in the outbox {times} times"
    yield from find_cursors_beyond_the_end()


def find_cursors_beyond_the_end() -> Iterator[str]:
    """Name the consumers whose cursor is beyond the end of its stream, or has none."""
    consumers = [consumer.name for consumer in all_consumers()]
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.consumer, c.topic, c.key, c.last, coalesce(s.last, 0) from relay_cursor c"
            " left join relay_stream s on s.topic = c.topic and s.key = c.key"
            " where c.last > coalesce(s.last, 0) and c.consumer = any(%s)",
            [consumers],
        )
        for consumer, topic, key, last, end in cursor.fetchall():
            yield f"{consumer} stands at {last} in {topic}/{key}, which ends at {end}"
