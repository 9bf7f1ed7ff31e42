"""What the database knows about watched orders. Each function runs one indexed statement for all of them."""

from collections.abc import Iterable, Mapping

from django.db import connection

#: The consumer that writes the state of orders, and the topics from which it learns.
WRITER = "orders"
SOURCES = ("shop.inventory", "shop.payments")
#: The topic whose events are published in the transaction that changes an order.
CHANGES = "shop.orders"


def find_applied(seen: Mapping[tuple[str, str], int]) -> list[tuple[str, str]]:
    """Return the keys (topic, order) of `seen` whose event of that sequence changed the order already."""
    topics, keys, sequences = [], [], []
    for (topic, key), sequence in seen.items():
        topics.append(topic)
        keys.append(key)
        sequences.append(sequence)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select seen.topic, seen.key from unnest(%s::text[], %s::text[], %s::bigint[]) as seen (topic, key, sequence)
            cross join lateral (select last from relay_cursor c
                                where c.key = seen.key and c.topic = seen.topic and c.consumer = %s) applied
            where applied.last >= seen.sequence
            """,
            [topics, keys, sequences, WRITER],
        )
        return [(topic, key) for topic, key in cursor.fetchall()]


def read_positions(orders: Iterable[str]) -> dict[str, int]:
    """Return a number for each order that grows with each change of the order."""
    wanted = list(orders)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select wanted.key, coalesce(sum(known.last), 0)::bigint from unnest(%s::text[]) as wanted (key)
            left join lateral (
                select last from relay_cursor c
                where c.key = wanted.key and c.topic = any(%s) and c.consumer = %s
                union all
                select last from relay_stream s where s.key = wanted.key and s.topic = %s) known on true
            group by wanted.key
            """,
            [wanted, list(SOURCES), WRITER, CHANGES],
        )
        return dict(cursor.fetchall())
