"""Does the stock add up? Each difference is told in one sentence; none is repaired."""

from collections.abc import Iterator

from django.db import connection


def find_stock_differences() -> Iterator[str]:
    """Yield a sentence for every difference between stock, movements and reservations.

    Per SKU: on hand and reserved are the sums of the movements, and reserved is what the held reservations add up
    to. Per order and SKU: the movements say what the reservation's state says. Each half is one statement, so it
    looks at one moment and may run while orders come in.
    """
    yield from compare_stock()
    yield from compare_reservations()


def compare_stock() -> Iterator[str]:
    """Compare each SKU's stock with its movements and with what its held reservations add up to."""
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
    """Compare each reservation with the movements of its order and SKU."""
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
            yield f"order {order_id}, {sku}: movements stand for no reservation"
        elif quantity != taken:
            yield f"order {order_id}, {sku}: reservation of {quantity}, but movements that reserved {taken}"
        else:
            yield (
                f"order {order_id}, {sku}: {quantity} {state}, but its movements add up to "
                f"{on_hand:+} on hand and {reserved:+} reserved"
            )
