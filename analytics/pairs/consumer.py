"""The consumer that counts pairs of products per order."""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from django.db import connection

from analytics.models import ProductPair
from relay import Consumer
from relay.arrays import to_array
from shop.events import OrderPlaced

#: Milliseconds between two rounds: nobody waits for a pair, and an idle process should cost nothing.
PACE_MS = 2000
#: Products of an order of which pairs are counted. The number of pairs grows with its square.
MOST_PRODUCTS = 20

_ADD = """
insert into analytics_productpair as p (sku, other, orders)
select * from unnest(%(sku)s::text[], %(other)s::text[], %(orders)s::bigint[])
on conflict (sku, other) do update set orders = p.orders + excluded.orders
"""


def declare_pairs(name: str = "bought_together") -> Consumer:
    """Return the consumer. A shop with history gets it at any time: it begins with the first order."""
    declared = Consumer(name, rebuild=empty_pairs, pace_ms=PACE_MS)

    @declared.on(OrderPlaced, many=True)
    def count_pairs(events: Sequence[OrderPlaced]) -> None:
        add_pairs(events)

    return declared


def add_pairs(events: Sequence[OrderPlaced]) -> None:
    """Count the pairs of the orders in the open transaction, in the order of their keys."""
    pairs = Counter[tuple[str, str]]()
    for event in events:
        products = sorted({line.sku for line in event.lines})[:MOST_PRODUCTS]
        pairs.update(permutations(products, 2))
    if pairs:
        rows = [(sku, other, orders) for (sku, other), orders in sorted(pairs.items())]
        columns = zip(("sku", "other", "orders"), zip(*rows, strict=True), strict=True)
        with connection.cursor() as cursor:
            cursor.execute(_ADD, {name: to_array(column) for name, column in columns})


def empty_pairs() -> None:
    """Delete all pairs in the open transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"delete from {ProductPair._meta.db_table}")  # noqa: S608 - our own name
