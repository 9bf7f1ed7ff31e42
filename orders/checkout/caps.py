"""Products of which one customer may have only so many. Who buys one waits for the same buyer's other order of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.crypto import salted_hmac

from orders.models import CappedPurchase
from orders.prices.amounts import Line, OrderRefused


class CapExceeded(OrderRefused):
    """The customer would have more of a product than one customer may have."""


def identify_buyer(customer_id: int | None, email: str) -> str:
    """Return what a buyer is known by: the customer's id, or for a guest the keyed hash of the e-mail address."""
    if customer_id is not None:
        return str(customer_id)
    return salted_hmac("orders.caps", email.strip().lower(), algorithm="sha256").hexdigest()


def check_caps(buyer: str, lines: Sequence[Line]) -> None:
    """Refuse lines that go past their cap. Needs an open transaction, which keeps the buyer's other orders waiting.

    :raises CapExceeded: some do.
    """
    skus = sorted(line.sku for line in lines if line.most_per_customer is not None)
    if not skus:
        return
    with connection.cursor() as cursor:
        for sku in skus:  # in this order everywhere, or two orders would wait for one another
            cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"cap {buyer} {sku}"])
        # A statement of its own: it sees what was committed while it waited.
        cursor.execute(
            "select p.sku, sum(p.quantity) from orders_cappedpurchase p join orders_order o on o.id = p.order_id"
            " where p.buyer = %s and p.sku = any(%s) and o.status <> 'cancelled' group by p.sku",
            [buyer, skus],
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
    """Tell the customer how many there may be."""
    ordered = f", and you have ordered {bought} already" if bought else ""
    return f"We sell at most {line.most_per_customer} of {line.name} to each customer{ordered}."


def record_capped(order_id: UUID, buyer: str, lines: Sequence[Line]) -> None:
    """Write down what the order takes of capped products."""
    CappedPurchase.objects.bulk_create(
        CappedPurchase(order_id=order_id, buyer=buyer, sku=line.sku, quantity=line.quantity)
        for line in lines
        if line.most_per_customer is not None
    )
