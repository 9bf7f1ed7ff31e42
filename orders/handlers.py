"""The consumer that applies the events of inventory and payments to orders, by the saga's table."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import Move, advance_orders
from orders.models import Order
from relay import Consumer
from shop.events import (
    InventoryEvent,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentEvent,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    StockRejected,
    StockReserved,
)

consumer = Consumer("orders")

#: The saga's name for each event class. PaymentRefunded has two names: see find_happening().
HAPPENINGS: dict[type[InventoryEvent | PaymentEvent], Happening] = {
    StockReserved: Happening.STOCK_RESERVED,
    StockRejected: Happening.STOCK_REJECTED,
    PaymentAuthorized: Happening.PAYMENT_AUTHORIZED,
    PaymentDeclined: Happening.PAYMENT_DECLINED,
    PaymentCaptured: Happening.PAYMENT_CAPTURED,
    PaymentFailed: Happening.PAYMENT_FAILED,
    PaymentVoided: Happening.PAYMENT_VOIDED,
}


@consumer.on(*HAPPENINGS, PaymentRefunded, many=True)
def advance(events: Sequence[InventoryEvent | PaymentEvent]) -> None:
    """Apply `events` to their orders. One call gets all classes, because each of them locks the same orders."""
    lefts = find_lefts([event for event in events if isinstance(event, PaymentRefunded)])
    advance_orders([Move(event.order_id, find_happening(event, lefts), event.event_id) for event in events])


def find_happening(event: InventoryEvent | PaymentEvent, lefts: Mapping[UUID, int]) -> Happening:
    """Return the saga's name for `event`. `lefts` maps a refund's event id to the amount that is not refunded yet."""
    if isinstance(event, PaymentRefunded):
        return Happening.PAYMENT_PARTLY_REFUNDED if lefts[event.event_id] else Happening.PAYMENT_REFUNDED
    return HAPPENINGS[type(event)]


def find_lefts(events: Sequence[PaymentRefunded]) -> dict[UUID, int]:
    """Return the amount that is not refunded after each event, in minor units, by event id.

    Version 1 of the event has no `left`: the amount is the order's total minus this refund.
    """
    silent = [event.order_id for event in events if event.left is None]
    totals = dict(Order.objects.filter(pk__in=silent).values_list("pk", "total")) if silent else {}
    return {
        event.event_id: totals[event.order_id] - event.amount if event.left is None else event.left for event in events
    }
