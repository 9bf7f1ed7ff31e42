"""What people do to the stock: pieces come in and are counted anew, each with who and why in the ledger.

Numbers are moved relative to the row, never written from what was read. What orders do is in reservations.py.
"""

from collections.abc import Mapping

from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from inventory.levels import Change, find_news
from inventory.models import Stock
from relay import publish_many

LARGEST_RECEIPT = 1_000_000


class UnableToReceiveStock(ValueError):
    """The quantity is not between 1 (for an opening level 0) and `LARGEST_RECEIPT`."""


class UnableToAdjustStock(ValueError):
    """The difference is none or absurdly large, the SKU is unknown, or less would be left than is held for orders."""


def receive_opening_stock(levels: Mapping[str, int]) -> int:
    """Begin the stock of every SKU of `levels` that inventory does not know yet; leave the others alone.

    Return how many were begun. A level of 0 begins a row without a movement.

    :raises UnableToReceiveStock: a level is negative or absurdly large; nothing was begun.
    """
    for sku, quantity in levels.items():
        if not 0 <= quantity <= LARGEST_RECEIPT:
            raise UnableToReceiveStock(f"{sku}: {quantity} is not between 0 and {LARGEST_RECEIPT}")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with begun as (
                insert into inventory_stock (sku, on_hand, reserved)
                select sku, quantity, 0
                from unnest(%(skus)s::text[], %(quantities)s::int[]) as levels (sku, quantity) order by sku
                on conflict (sku) do nothing returning sku, on_hand
            ),
            explained as (
                insert into inventory_movement
                    (sku, order_id, kind, on_hand_delta, reserved_delta, event_id, reason, created_at)
                select sku, null, 'received', on_hand, 0, %(event_id)s, 'opening stock', %(now)s
                from begun where on_hand > 0
            )
            select count(*) from begun
            """,
            {
                "skus": list(levels),
                "quantities": list(levels.values()),
                "event_id": uuid7(),
                "now": timezone.now(),
            },
        )
        begun: int = cursor.fetchone()[0]
        return begun


@transaction.atomic
def receive_stock(sku: str, quantity: int, reason: str, by: str = "") -> None:
    """Add `quantity` pieces to a SKU's stock, which begins with them when inventory does not know it yet.

    :raises UnableToReceiveStock: the quantity is not positive or absurdly large.
    """
    if not 0 < quantity <= LARGEST_RECEIPT:
        raise UnableToReceiveStock(f"{sku}: {quantity} is not between 1 and {LARGEST_RECEIPT}")
    _change(
        """
        insert into inventory_stock as stock (sku, on_hand, reserved) values (%(sku)s, %(quantity)s, 0)
        on conflict (sku) do update set on_hand = stock.on_hand + excluded.on_hand
        returning stock.sku, stock.on_hand - stock.reserved as after, stock.low_at
        """,
        {"sku": sku, "quantity": quantity, "kind": "received", "reason": reason, "by": by},
    )


@transaction.atomic
def adjust_stock(sku: str, difference: int, reason: str, by: str = "") -> None:
    """Correct a SKU's stock by `difference` pieces, which were counted, broken, lost or found.

    :raises UnableToAdjustStock: nothing was changed; the message holds the numbers.
    """
    if not 0 < abs(difference) <= LARGEST_RECEIPT:
        raise UnableToAdjustStock(f"{sku}: {difference:+} is 0, or not from -{LARGEST_RECEIPT} to {LARGEST_RECEIPT}")
    done = _change(
        """
        update inventory_stock as stock set on_hand = stock.on_hand + %(quantity)s
        where stock.sku = %(sku)s and stock.on_hand + %(quantity)s >= stock.reserved
        returning stock.sku, stock.on_hand - stock.reserved as after, stock.low_at
        """,
        {"sku": sku, "quantity": difference, "kind": "adjusted", "reason": reason, "by": by},
    )
    if not done:
        stock = Stock.objects.filter(sku=sku).first()
        known = f"{stock.on_hand} on hand, of which {stock.reserved} are held" if stock else "not in stock"
        raise UnableToAdjustStock(f"{sku}: {difference:+} can't be booked: {known}")


def _change(moved: str, values: dict[str, str | int]) -> bool:
    """Run the statement that moves a SKU by `quantity`, note the movement, and tell of it; tell whether it moved."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            with moved as ({moved}),
            explained as (
                insert into inventory_movement
                    (sku, order_id, kind, on_hand_delta, reserved_delta, event_id, reason, "by", created_at)
                select sku, null, %(kind)s, %(quantity)s, 0, %(event_id)s, %(reason)s, %(by)s, %(now)s from moved
            )
            select sku, after - %(quantity)s, after, low_at from moved
            """,  # noqa: S608 - the statements above
            {**values, "event_id": uuid7(), "now": timezone.now()},
        )
        changes = [Change(*row) for row in cursor.fetchall()]
    publish_many(find_news(changes))
    return bool(changes)
