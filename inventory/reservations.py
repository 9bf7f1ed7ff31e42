"""Changes of stock that orders cause. Each change is one statement that updates the stock and adds the movements.

The statements change numbers relative to the row (`reserved + quantity`), so a stale read does no harm. The table's
CHECK constraints refuse impossible numbers. A transaction locks its stock rows in SKU order first, so that two
transactions with the same SKUs wait for each other instead of deadlocking.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from inventory.levels import Change
from inventory.models import Movement, Reservation
from relay.arrays import to_array


@dataclass(slots=True)
class Level:
    """The stock of a locked SKU: pieces `available` and `on_hand`, and the number of backorders `waiting` for it."""

    available: int
    on_hand: int
    waiting: int


# PostgreSQL locks the rows in the order in which the sorted scan returns them. Orders that end may serve backorders,
# which want further SKUs: locking these later could deadlock.
_LOCK = """
with ended as materialized (
    select sku from inventory_reservation where order_id = any(%(orders)s::uuid[])
    union select sku from inventory_backorder where order_id = any(%(orders)s::uuid[])
)
select sku, on_hand - reserved, on_hand, waiting from inventory_stock where sku = any(array(
    select unnest(%(skus)s::text[]) union select sku from ended
    union select other.sku from inventory_backorder as one join inventory_backorder as other using (order_id)
          where one.sku = any(array(select sku from ended))))
order by sku for update
"""


def lock_stock(skus: Collection[str], orders: Collection[UUID] = ()) -> dict[str, Level]:
    """Lock the stock rows of `skus`, and of the SKUs that `orders` hold or wait for, until the transaction ends.

    Lock the SKUs of the backorders that wait for the same pieces as `orders`, too. Return the levels by SKU. SKUs
    without a stock row are missing from the result.
    """
    with connection.cursor() as cursor:
        if orders:
            cursor.execute(_LOCK, {"skus": to_array(skus), "orders": to_array(orders)})
        else:
            cursor.execute(
                "select sku, on_hand - reserved, on_hand, waiting from inventory_stock where sku = any(%s::text[])"
                " order by sku for update",
                [to_array(skus)],
            )
        return {sku: Level(*numbers) for sku, *numbers in cursor.fetchall()}


class Hold(NamedTuple):
    """A request to hold stock for an order. `wanted` maps each SKU to its quantity."""

    order_id: UUID
    event_id: UUID
    wanted: Mapping[str, int]


def hold_stock(holds: Sequence[Hold]) -> list[Change]:
    """Reserve the quantities of all `holds`. Return the changes of the SKUs that are low afterwards.

    The caller must have locked the rows by `lock_stock` in this transaction and found enough pieces available.

    :raises django.db.IntegrityError: too few pieces are available, or an order already holds one of the SKUs.
    """
    lines = [(hold.order_id, hold.event_id, sku, quantity) for hold in holds for sku, quantity in hold.wanted.items()]
    if not lines:
        return []
    orders, events, skus, quantities = zip(*lines, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with wanted as materialized (
                select * from unnest(%(orders)s::uuid[], %(events)s::uuid[], %(skus)s::text[], %(quantities)s::int[])
                    as wanted (order_id, event_id, sku, quantity)
            ),
            held as (
                update inventory_stock as stock set reserved = stock.reserved + total.quantity
                from (select sku, sum(quantity) as quantity from wanted group by sku) as total
                where stock.sku = total.sku
                returning stock.sku, stock.on_hand - stock.reserved as after, total.quantity, stock.low_at
            ),
            noted as (
                insert into inventory_reservation (order_id, sku, quantity, state, created_at, changed_at)
                select order_id, sku, quantity, 'held', %(now)s, %(now)s from wanted
            ),
            explained as (
                insert into inventory_movement
                    (sku, order_id, kind, on_hand_delta, reserved_delta, event_id, reason, created_at)
                select sku, order_id, 'reserved', 0, quantity, event_id, '', %(now)s from wanted
            )
            select sku, after + quantity, after, low_at from held where after <= low_at
            """,
            {
                "orders": to_array(orders),
                "events": to_array(events),
                "skus": to_array(skus),
                "quantities": to_array(quantities),
                "now": timezone.now(),
            },
        )
        return [Change(*row) for row in cursor.fetchall()]


class Transition(NamedTuple):
    """The end of a reservation in state `before`. Each piece adds `on_hand` and `reserved` to the stock."""

    before: str
    after: str
    kind: str
    on_hand: int
    reserved: int


SALE = [Transition(Reservation.State.HELD, Reservation.State.SOLD, Movement.Kind.SOLD, -1, -1)]
GIVING_BACK = [
    Transition(Reservation.State.HELD, Reservation.State.RELEASED, Movement.Kind.RELEASED, 0, -1),
    # A confirmed order can be cancelled until it is shipped: its pieces are still in the warehouse.
    Transition(Reservation.State.SOLD, Reservation.State.RELEASED, Movement.Kind.RETURNED, 1, 0),
]


class ClosedReservations(NamedTuple):
    """The orders that had reservations to close, the changes of their stock, and the pieces on hand by SKU."""

    orders: set[UUID]
    changes: list[Change]
    on_hand: dict[str, int]


def close_reservations(causes: Mapping[UUID, UUID], transitions: list[Transition]) -> ClosedReservations:
    """Close the reservations of the orders in `causes`, each by the transition whose `before` is its state.

    `causes` maps an order's id to the id of the event. The caller must have locked the orders' stock by `lock_stock`
    in this transaction. The consumer applies an order's events in sequence, so no order is closed twice at once.
    """
    before, after, kinds, on_hand, reserved = zip(*transitions, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with ended as materialized (
                select reservation.id, order_id, event_id, sku, after, kind,
                       quantity * on_hand as on_hand, quantity * reserved as reserved
                from unnest(%(orders)s::uuid[], %(events)s::uuid[]) as cause (order_id, event_id)
                join inventory_reservation as reservation using (order_id)
                join unnest(%(before)s::text[], %(after)s::text[], %(kinds)s::text[],
                            %(on_hand)s::int[], %(reserved)s::int[])
                    as transition (before, after, kind, on_hand, reserved) on before = state
            ),
            closed as (
                update inventory_reservation as reservation set state = ended.after, changed_at = %(now)s
                from ended where reservation.id = ended.id
            ),
            moved as (
                update inventory_stock as stock
                set on_hand = stock.on_hand + total.on_hand, reserved = stock.reserved + total.reserved
                from (select sku, sum(on_hand) as on_hand, sum(reserved) as reserved from ended group by sku) as total
                where stock.sku = total.sku
                returning stock.sku, stock.on_hand - stock.reserved as after,
                          total.on_hand - total.reserved as gained, stock.low_at, stock.on_hand
            ),
            explained as (
                insert into inventory_movement
                    (sku, order_id, kind, on_hand_delta, reserved_delta, event_id, reason, created_at)
                select sku, order_id, kind, on_hand, reserved, event_id, '', %(now)s from ended
            )
            select (select array_agg(distinct order_id) from ended), on_hand, sku, after - gained, after, low_at
            from moved
            """,
            {
                "before": list(before),
                "after": list(after),
                "kinds": list(kinds),
                "on_hand": list(on_hand),
                "reserved": list(reserved),
                "orders": to_array(causes),
                "events": to_array(causes.values()),
                "now": timezone.now(),
            },
        )
        rows = cursor.fetchall()
    changes = [Change(*row[2:]) for row in rows]
    return ClosedReservations(set(rows[0][0]) if rows else set(), changes, {row[2]: row[1] for row in rows})
