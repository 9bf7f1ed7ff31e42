"""What orders does about the answers of inventory and payments. The saga's table decides."""

from collections.abc import Sequence

from orders.advancing import Move, advance_orders
from orders.models import Order
from orders.saga import Happening
from relay.consumer import Consumer
from shop.events import (
    InventoryEvent,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    StockRejected,
    StockReserved,
)

consumer = Consumer("orders")


@consumer.on(StockReserved, many=True)
def note_reserved_stock(events: Sequence[StockReserved]) -> None:
    """Confirm the orders that are paid for as well."""
    note(events, Happening.STOCK_RESERVED)


@consumer.on(StockRejected, many=True)
def note_rejected_stock(events: Sequence[StockRejected]) -> None:
    """Cancel the orders: there is not enough."""
    note(events, Happening.STOCK_REJECTED)


@consumer.on(PaymentAuthorized, many=True)
def note_authorized_payments(events: Sequence[PaymentAuthorized]) -> None:
    """Confirm the orders whose stock is held as well."""
    note(events, Happening.PAYMENT_AUTHORIZED)


@consumer.on(PaymentDeclined, many=True)
def note_declined_payments(events: Sequence[PaymentDeclined]) -> None:
    """Cancel the orders: they will not be paid for."""
    note(events, Happening.PAYMENT_DECLINED)


@consumer.on(PaymentCaptured, many=True)
def note_captured_payments(events: Sequence[PaymentCaptured]) -> None:
    """Let the orders be shipped."""
    note(events, Happening.PAYMENT_CAPTURED)


@consumer.on(PaymentVoided, many=True)
def note_voided_payments(events: Sequence[PaymentVoided]) -> None:
    """Write down that nothing is held for the cancelled orders any more."""
    note(events, Happening.PAYMENT_VOIDED)


@consumer.on(PaymentRefunded, many=True)
def note_refunded_payments(events: Sequence[PaymentRefunded]) -> None:
    """Write down that the orders' money went back, or a part of it."""
    untold = [event.order_id for event in events if event.left is None]
    totals = dict(Order.objects.filter(pk__in=untold).values_list("pk", "total")) if untold else {}
    moves = []
    for event in events:
        left = totals[event.order_id] - event.amount if event.left is None else event.left
        happening = Happening.PAYMENT_PARTLY_REFUNDED if left else Happening.PAYMENT_REFUNDED
        moves.append(Move(event.order_id, happening, event.event_id))
    advance_orders(moves)


def note(events: Sequence[InventoryEvent | PaymentEvent], happening: Happening) -> None:
    """Let `happening` meet the events' orders."""
    advance_orders([Move(event.order_id, happening, event.event_id) for event in events])
