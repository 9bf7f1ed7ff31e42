"""Comparison of the apps: orders, inventory and payments must agree about each order.

A rule skips an order until the app under comparison has applied all events of the order.
"""

from collections.abc import Iterator

from django.db import connection


def find_wrong_orders() -> Iterator[str]:
    """Report orders whose amounts, history and first event contradict each other."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with sums as (
                select order_id, sum(line_total) as lines,
                       count(*) filter (where line_total <> unit_price::bigint * quantity) as wrong
                from orders_orderline group by order_id),
            last as (select distinct on (order_id) order_id, after from orders_transition order by order_id, id desc)
            select r.number, r.total, r.total + r.discount - r.shipping, r.status, coalesce(sums.lines, 0),
                   coalesce(sums.wrong, 0), last.after, (o.body::jsonb ->> 'total')::bigint
            from orders_order r
            left join sums on sums.order_id = r.id
            left join last on last.order_id = r.id
            left join relay_outbox o on o.topic = 'shop.orders' and o.key = r.id::text and o.sequence = 1
            """
        )
        for number, total, subtotal, status, lines, wrong, after, said in cursor:
            if subtotal != lines:
                yield f"order {number} has the subtotal {subtotal}, but its lines add up to {lines}"
            if wrong:
                yield f"order {number} has {wrong} lines whose total is not quantity times price"
            if status != after:
                yield f"order {number} is {status}, but its history ends with {after}"
            if said is not None and said != total:
                yield f"order {number} has the total {total}, but its OrderPlaced says {said}"


def find_unpaid_orders() -> Iterator[str]:
    """Report orders and payments that contradict each other. Skip payments with an open gateway call."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select r.number, r.status, r.total, p.status, p.amount
            from orders_order r join payments_payment p on p.order_id = r.id
            join relay_stream s on s.topic = 'shop.orders' and s.key = r.id::text
            join relay_cursor c on c.consumer = 'payments' and c.topic = s.topic and c.key = s.key and c.last = s.last
            where p.wanted = 'nothing'
              and (p.amount <> r.total
                   or (r.status = 'placed' and p.status not in ('authorized', 'declined'))
                   or (r.status = 'confirmed' and p.status not in ('captured', 'failed', 'refunded'))
                   or (r.status in ('shipped', 'delivered') and p.status not in ('captured', 'refunded'))
                   or (r.status = 'cancelled' and p.status not in ('declined', 'voided', 'refunded')))
            """
        )
        for number, status, total, payment, amount in cursor:
            yield f"order {number} with the total {total} is {status}, but its payment of {amount} is {payment}"


def find_misplaced_stock() -> Iterator[str]:
    """Report order lines whose reservation does not fit the order's status."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select r.number, r.status, l.quantity, l.sku, coalesce(v.quantity, 0), coalesce(v.state, 'reserved')
            from orders_order r join orders_orderline l on l.order_id = r.id
            join relay_stream s on s.topic = 'shop.orders' and s.key = r.id::text
            join relay_cursor c on c.consumer = 'inventory' and c.topic = s.topic and c.key = s.key and c.last = s.last
            left join inventory_reservation v on v.order_id = r.id and v.sku = l.sku
            where v.quantity <> l.quantity
               or (r.status = 'placed' and v.state <> 'held')
               or (r.status in ('confirmed', 'shipped', 'delivered') and v.state is distinct from 'sold')
               or (r.status = 'cancelled' and v.state <> 'released')
            """
        )
        for number, status, ordered, sku, quantity, state in cursor:
            yield f"order {number} with {ordered} {sku} is {status}, but inventory has {quantity} {state}"


def find_wrong_reservations() -> Iterator[str]:
    """Report reservations without an order line, and orders whose recorded stock differs from their reservations.

    Inventory commits a reservation together with its event, so each answer that orders has applied has its rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select v.order_id, v.quantity, v.sku, v.state from inventory_reservation v
            where not exists (select from orders_orderline l where l.order_id = v.order_id and l.sku = v.sku)
            """
        )
        for order_id, quantity, sku, state in cursor:
            yield f"{quantity} {sku} are {state} for order {order_id}, which has no such line"
        cursor.execute(
            """
            select r.number, r.stock, l.quantity, l.sku, coalesce(v.state, 'not reserved')
            from orders_order r join orders_orderline l on l.order_id = r.id
            left join inventory_reservation v on v.order_id = r.id and v.sku = l.sku
            where (r.stock = 'reserved' and v.state is null) or (r.stock = 'rejected' and v.state is not null)
            """
        )
        for number, stock, quantity, sku, state in cursor:
            yield f"order {number} records its stock as {stock}, but in inventory {quantity} {sku} are {state}"


def find_unheard_payments() -> Iterator[str]:
    """Report orders whose recorded payment status is wrong although orders has applied all events of the payment."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select r.number, r.payment, p.status from orders_order r join payments_payment p on p.order_id = r.id
            join relay_stream s on s.topic = 'shop.payments' and s.key = r.id::text
            join relay_cursor c on c.consumer = 'orders' and c.topic = s.topic and c.key = s.key and c.last = s.last
            where p.status <> r.payment
            """
        )
        for number, known, payment in cursor:
            yield f"order {number} records its payment as {known}, but the payment is {payment}"
