"""Caps: the largest quantity of a product that one buyer may have. The check takes a lock for each buyer and SKU."""

from collections.abc import Sequence
from itertools import product
from typing import Any
from uuid import UUID

from django.db import connection

from orders.models import CappedPurchase
from orders.prices.amounts import Line, OrderRefused


class CapExceeded(OrderRefused):
    """The order would give the buyer more of a product than its cap allows."""


def check_caps(buyers: Sequence[str], lines: Sequence[Line]) -> None:
    """Check `lines` against their caps. `buyers` are the keys of one buyer.

    Needs an open transaction: until its end, the buyer's other orders wait.

    :raises CapExceeded: a line exceeds its cap, together with the buyer's earlier orders.
    """
    skus = sorted(line.sku for line in lines if line.most_per_customer is not None)
    if not skus:
        return
    with connection.cursor() as cursor:
        for buyer, sku in product(sorted(buyers), skus):  # two orders of one buyer take their locks in the same order
            cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"cap {buyer} {sku}"])
        # A separate statement has a new snapshot: it sees the orders that were committed during the wait.
        cursor.execute(
            "select p.sku, sum(p.quantity) from orders_cappedpurchase p join orders_order o on o.id = p.order_id"
            " where p.buyer = any(%s) and p.sku = any(%s) and o.status <> 'cancelled' group by p.sku",
            [list(buyers), skus],
        )
        bought = {sku: int(units) for sku, units in cursor.fetchall()}
    errors: dict[Any, Any] = {
        index: {"quantity": [describe_cap(line, bought.get(line.sku, 0))]}
        for index, line in enumerate(lines)
        if line.most_per_customer is not None and bought.get(line.sku, 0) + line.quantity > line.most_per_customer
    }
    if errors:
        raise CapExceeded({"lines": errors})


def describe_cap(line: Line, bought: int) -> str:
    """Return the message for the customer: the cap, and the pieces `bought` before."""
    ordered = f", and you have already ordered {bought}" if bought else ""
    return f"We sell at most {line.most_per_customer} of {line.name} to each customer{ordered}."


def record_capped(order_id: UUID, buyer: str, lines: Sequence[Line]) -> None:
    """Store the order's quantities of capped products for later checks."""
    CappedPurchase.objects.bulk_create(
        CappedPurchase(order_id=order_id, buyer=buyer, sku=line.sku, quantity=line.quantity)
        for line in lines
        if line.most_per_customer is not None
    )
