"""Effect rows against the events that caused them: each has one, none has two, and no applied event lacks its effect."""

from collections.abc import Iterator

from django.db import connection

# Effect rows by the app's name for them: table, and what may stand only once.
_EFFECTS = {
    "movement": ("inventory_movement", "event_id, sku"),
    "payment": ("payments_payment", "event_id"),
    "message": ("notifications_message", "event_id, channel"),
    "sale": ("analytics_sale", "event_id"),
    "transition": ("orders_transition", "event_id"),
}
# What an applied event must have left behind: consumer, event, and the row that shows it.
_TRACES = [
    ("payments", "OrderPlaced", "select from payments_payment p where p.event_id = o.event_id"),
    ("analytics", "OrderPlaced", "select from analytics_sale p where p.event_id = o.event_id"),
    ("analytics", "OrderConfirmed", "select from analytics_sale p where p.event_id = o.event_id"),
    ("analytics", "OrderCancelled", "select from analytics_sale p where p.event_id = o.event_id"),
    ("notifications", "OrderConfirmed", "select from notifications_message p where p.event_id = o.event_id"),
    ("notifications", "OrderShipped", "select from notifications_message p where p.event_id = o.event_id"),
    ("notifications", "OrderDelivered", "select from notifications_message p where p.event_id = o.event_id"),
    ("notifications", "OrderCancelled", "select from notifications_message p where p.event_id = o.event_id"),
    (
        "inventory",
        "OrderPlaced",
        "select from inventory_movement p where p.event_id = o.event_id union all "
        "select from relay_outbox r where r.topic = 'shop.inventory' and r.key = o.key and r.type like 'StockRejected.%%'",
    ),
    ("inventory", "OrderConfirmed", "select from inventory_movement p where p.event_id = o.event_id"),
    ("orders", "StockReserved", "select from orders_transition p where p.event_id = o.event_id"),
    ("orders", "StockRejected", "select from orders_transition p where p.event_id = o.event_id"),
    ("orders", "PaymentAuthorized", "select from orders_transition p where p.event_id = o.event_id"),
    ("orders", "PaymentDeclined", "select from orders_transition p where p.event_id = o.event_id"),
]


def find_effects_without_event() -> Iterator[str]:
    """Name effect rows whose event is not in the outbox. Receipts of stock have no event; pruned keys are left out."""
    with connection.cursor() as cursor:
        for name, (table, _) in _EFFECTS.items():
            cursor.execute(
                f"""
                select e.order_id::text, e.event_id from {table} e
                where e.order_id is not null
                  and not exists (select from relay_outbox o where o.event_id = e.event_id
                                    and o.key = e.order_id::text)
                  and not exists (select from relay_stream s where s.key = e.order_id::text and s.floor > 0)
                """  # noqa: S608 - names of our own tables
            )
            for order_id, event_id in cursor.fetchall():
                yield f"a {name} of order {order_id} carries event {event_id}, which is not in the outbox"


def find_duplicate_effects() -> Iterator[str]:
    """Name the event ids that stand twice."""
    with connection.cursor() as cursor:
        for name, (table, once) in _EFFECTS.items():
            cursor.execute(
                f"select event_id, count(*) from {table} group by {once} having count(*) > 1"  # noqa: S608
            )
            for event_id, count in cursor.fetchall():
                yield f"event {event_id} has its {name} {count} times"


def find_events_without_effect() -> Iterator[str]:
    """Name events that a consumer's cursor has passed without leaving the row that it should have left."""
    with connection.cursor() as cursor:
        for consumer, event, trace in _TRACES:
            cursor.execute(
                f"""
                select o.key, o.event_id from relay_outbox o
                join relay_cursor c on c.consumer = %s and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
                where o.type like %s and not exists ({trace})
                """,  # noqa: S608
                [consumer, f"{event}.%"],
            )
            for key, event_id in cursor.fetchall():
                yield f"{consumer} has passed {event} {event_id} of order {key} and left nothing behind"


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
                   or (r.status in ('confirmed', 'shipped', 'delivered') and p.status <> 'captured')
                   or (r.status = 'cancelled' and p.status not in ('declined', 'voided')))
            """
        )
        for number, status, total, payment, amount in cursor.fetchall():
            yield f"order {number} over {total} is {status}, its payment over {amount} is {payment}"
