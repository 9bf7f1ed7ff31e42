"""Changes of stock that people cause: receipts and corrections. The ledger records the person and the reason.

The statements change numbers relative to the row. Changes that orders cause are in reservations.py.
"""

from collections.abc import Mapping

from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from inventory.levels import Change, find_news
from inventory.models import Stock
from relay import publish_many

#: Largest number of pieces in one receipt or correction.
LARGEST_RECEIPT = 1_000_000


class UnableToReceiveStock(ValueError):
    """The quantity is not between 1 and `LARGEST_RECEIPT`. An opening level may also be 0."""


class UnableToAdjustStock(ValueError):
    """The difference is 0 or exceeds `LARGEST_RECEIPT`, the SKU is unknown, or orders hold more than would remain."""


def receive_opening_stock(levels: Mapping[str, int]) -> int:
    """Create a stock row for every SKU of `levels` that has none. Return the number of new rows.

    `levels` maps SKUs to pieces. A level of 0 creates a row without a movement.

    :raises UnableToReceiveStock: a level is not between 0 and `LARGEST_RECEIPT`. No row is created.
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
    """Add `quantity` pieces to the stock of `sku`. A SKU without a stock row gets one.

    :raises UnableToReceiveStock: the quantity is not between 1 and `LARGEST_RECEIPT`.
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
    """Correct the stock of `sku` by `difference` pieces, for example after a count or a breakage.

    :raises UnableToAdjustStock: the stock is unchanged; the message has the numbers.
    """
    if not 0 < abs(difference) <= LARGEST_RECEIPT:
        limits = f"from -{LARGEST_RECEIPT} to {LARGEST_RECEIPT}, except 0"
        raise UnableToAdjustStock(f"{sku}: the correction {difference:+} is not {limits}")
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
        known = f"{stock.on_hand} on hand, {stock.reserved} held for orders" if stock else "the SKU has no stock row"
        raise UnableToAdjustStock(f"{sku}: the correction {difference:+} is impossible: {known}")


def _change(moved: str, values: dict[str, str | int]) -> bool:
    """Run the statement `moved`, add the movement and publish events. Return whether `moved` changed a row."""
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
