"""The apps against one another: what orders, inventory and payments each say about the same order.

An app is asked about an order only when it has applied everything that orders has said about it.
"""

from collections.abc import Iterator

from django.db import connection


def find_wrong_orders() -> Iterator[str]:
    """Name the orders whose own numbers, history or event contradict each other."""
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
                yield f"order {number} has {subtotal} without discount and shipping, its lines add up to {lines}"
            if wrong:
                yield f"order {number} has {wrong} lines that are not quantity times price"
            if status != after:
                yield f"order {number} is {status}, its history ends with {after}"
            if said is not None and said != total:
                yield f"order {number} has the total {total}, its OrderPlaced says {said}"


def find_unpaid_orders() -> Iterator[str]:
    """Name orders and payments that contradict each other, leaving out what is still wanted of the gateway."""
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
                   or (r.status in ('confirmed', 'shipped', 'delivered') and p.status not in ('captured', 'refunded'))
                   or (r.status = 'cancelled' and p.status not in ('declined', 'voided', 'refunded')))
            """
        )
        for number, status, total, payment, amount in cursor:
            yield f"order {number} over {total} is {status}, its payment over {amount} is {payment}"


def find_misplaced_stock() -> Iterator[str]:
    """Name order lines for which inventory holds, has sold or has given back what the order's status forbids."""
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
            yield f"order {number} of {ordered} {sku} is {status}, inventory has {quantity} {state}"


def find_wrong_reservations() -> Iterator[str]:
    """Name reservations that no order line asks for, and orders that were answered other than what inventory holds.

    The reservation is committed with the answer, so that what orders has heard must be there.
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
            yield f"order {number} was told that its stock is {stock}, but {quantity} {sku} are {state}"


def find_unheard_payments() -> Iterator[str]:
    """Name orders that know another payment than there is, although orders has applied all that payments said of it."""
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
            yield f"order {number} knows a payment that is {known}, it is {payment}"
