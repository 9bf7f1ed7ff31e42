"""Comparison of effect rows with their events: each row has an event, and each applied event has its rows once.

The rows of analytics carry no event ids; a recount checks them.
"""

from collections.abc import Iterator

from django.db import connection

# Effect rows by name: the table, and the columns that must be unique.
_EFFECTS = {
    "movement": ("inventory_movement", "event_id, sku"),
    "payment": ("payments_payment", "event_id"),
    "message": ("notifications_message", "event_id, channel"),
    "transition": ("orders_transition", "event_id"),
}
# Rows that an applied event must have: consumer, effect, event types. OrderCancelled is missing for stock and money,
# because a cancelled order may never have had a reservation or a payment.
_TRACES = [
    ("payments", "payment", ["OrderPlaced"]),
    ("notifications", "message", ["OrderConfirmed", "OrderShipped", "OrderDelivered", "OrderCancelled"]),
    ("inventory", "movement", ["OrderPlaced", "OrderConfirmed"]),
    ("orders", "transition", ["StockReserved", "StockRejected"]),
    ("orders", "transition", ["PaymentAuthorized", "PaymentDeclined", "PaymentCaptured"]),
    ("orders", "transition", ["PaymentFailed", "PaymentVoided", "PaymentRefunded"]),
]
# An order whose stock was rejected has no movements. A backorder has none yet.
_UNLESS_REJECTED = """
                  and not exists (select from relay_outbox r where r.topic = 'shop.inventory' and r.key = o.key
                                    and r.type like 'StockRejected.%%')
                  and not exists (select from inventory_backorder b where b.event_id = o.event_id)
"""


def find_effects_without_event() -> Iterator[str]:
    """Report effect rows whose event is not in the outbox. Skip pruned keys, and receipts, which have no event."""
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
    """Report events that have the same effect row more than once."""
    with connection.cursor() as cursor:
        for name, (table, once) in _EFFECTS.items():
            cursor.execute(
                f"select event_id, count(*) from {table} group by {once} having count(*) > 1"  # noqa: S608
            )
            for event_id, count in cursor.fetchall():
                yield f"event {event_id} has its {name} {count} times"


def find_events_without_effect() -> Iterator[str]:
    """Report events that a consumer's cursor has passed, but that have no effect row.

    Skip the events that a person has skipped. The audit contains the reason for each of them.
    """
    with connection.cursor() as cursor:
        for consumer, effect, events in _TRACES:
            table, _ = _EFFECTS[effect]
            cursor.execute(
                f"""
                select split_part(o.type, '.', 1), o.event_id, o.key from relay_outbox o
                join relay_cursor c on c.consumer = %s and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
                where split_part(o.type, '.', 1) = any(%s)
                  and not exists (select from {table} e where e.event_id = o.event_id)
                  and not exists (select from relay_intervention i where i.action = 'skip' and i.consumer = c.consumer
                                    and i.topic = o.topic and i.key = o.key and i.sequence = o.sequence)
                  {_UNLESS_REJECTED if effect == "movement" else ""}
                """,  # noqa: S608 - names of our own tables
                [consumer, events],
            )
            for event, event_id, key in cursor.fetchall():
                yield f"{consumer} has applied {event} {event_id} of order {key}, but the event has no {effect}"
