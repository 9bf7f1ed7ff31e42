"""Check stock against movements and reservations. The check reports each difference and repairs none."""

from collections.abc import Iterator

from django.db import connection

from inventory.models import Backorder


def find_stock_differences() -> Iterator[str]:
    """Yield a sentence for every difference between stock, movements and reservations.

    Rules for each SKU: `on_hand` and `reserved` equal the sums of the movements; `reserved` equals the sum of the held
    reservations; `waiting` equals the number of backorders. Rules for each order and SKU: the sums of the movements fit
    the reservation's state; a backorder has no reservation. Each comparison is one statement, so it reads one snapshot
    and can run while orders arrive.
    """
    yield from compare_stock()
    yield from compare_reservations()
    yield from compare_backorders()


def find_backorders_in_flight() -> int:
    """Return the number of orders that wait for pieces which undecided orders hold."""
    return Backorder.objects.values("order_id").distinct().count()


def compare_backorders() -> Iterator[str]:
    """Yield SKUs whose number of waiting orders is wrong, and backorders of orders with a reservation."""
    with connection.cursor() as cursor:
        cursor.execute("""
            select sku, waiting, coalesce(count, 0) from inventory_stock
            full join (select sku, count(*) from inventory_backorder group by sku) as backorder using (sku)
            where waiting is distinct from coalesce(count, 0) order by sku
        """)
        for sku, waiting, count in cursor.fetchall():
            yield f"stock of {sku}: {waiting or 0} orders are counted as waiting, but there are {count} backorders"
        cursor.execute("""
            select distinct order_id, state from inventory_backorder join inventory_reservation using (order_id)
            order by order_id
        """)
        for order_id, state in cursor.fetchall():
            yield f"order {order_id} is a backorder, but its reservation is {state}"


def compare_stock() -> Iterator[str]:
    """Yield the differences between each SKU's stock, its movements and its held reservations."""
    with connection.cursor() as cursor:
        cursor.execute("""
            select sku, on_hand, reserved, coalesce(moved_on_hand, 0), coalesce(moved_reserved, 0), coalesce(held, 0)
            from inventory_stock
            full join (
                select sku, sum(on_hand_delta) as moved_on_hand, sum(reserved_delta) as moved_reserved
                from inventory_movement group by sku
            ) as movement using (sku)
            full join (
                select sku, sum(quantity) as held from inventory_reservation where state = 'held' group by sku
            ) as reservation using (sku)
            where on_hand is distinct from coalesce(moved_on_hand, 0)
               or reserved is distinct from coalesce(moved_reserved, 0)
               or reserved is distinct from coalesce(held, 0)
            order by sku
        """)
        rows = cursor.fetchall()
    for sku, on_hand, reserved, moved_on_hand, moved_reserved, held in rows:
        if on_hand is None:
            yield f"SKU {sku} has movements or reservations, but no stock row"
            continue
        if on_hand != moved_on_hand:
            yield f"stock of {sku}: {on_hand} on hand, but its movements add up to {moved_on_hand}"
        if reserved != moved_reserved:
            yield f"stock of {sku}: {reserved} reserved, but its movements add up to {moved_reserved}"
        if reserved != held:
            yield f"stock of {sku}: {reserved} reserved, but its held reservations add up to {held}"


def compare_reservations() -> Iterator[str]:
    """Yield the differences between each reservation and the movements of its order and SKU."""
    with connection.cursor() as cursor:
        cursor.execute("""
            select order_id, sku, state, quantity, coalesce(taken, 0), coalesce(moved_on_hand, 0),
                   coalesce(moved_reserved, 0)
            from inventory_reservation
            full join (
                select order_id, sku, sum(on_hand_delta) as moved_on_hand, sum(reserved_delta) as moved_reserved,
                       sum(reserved_delta) filter (where kind = 'reserved') as taken
                from inventory_movement where order_id is not null group by order_id, sku
            ) as movement using (order_id, sku)
            where quantity is distinct from coalesce(taken, 0)
               or moved_on_hand <> case state when 'sold' then -quantity else 0 end
               or moved_reserved <> case state when 'held' then quantity else 0 end
            order by order_id, sku
        """)
        rows = cursor.fetchall()
    for order_id, sku, state, quantity, taken, on_hand, reserved in rows:
        if state is None:
            yield f"order {order_id}, {sku}: movements, but no reservation"
        elif quantity != taken:
            yield f"order {order_id}, {sku}: a reservation of {quantity}, but movements that reserve {taken}"
        else:
            yield (
                f"order {order_id}, {sku}: {quantity} {state}, but its movements add up to "
                f"{on_hand:+} on hand and {reserved:+} reserved"
            )
