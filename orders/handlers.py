"""What orders does about the answers of inventory and payments. The saga's table decides."""

from orders.saga import Happening
from orders.services import advance_order
from relay.consumer import Consumer
from shop.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    StockRejected,
    StockReserved,
)

consumer = Consumer("orders")


@consumer.on(StockReserved)
def note_reserved_stock(event: StockReserved) -> None:
    """Confirm the order if it is paid for as well."""
    advance_order(event.order_id, Happening.STOCK_RESERVED, event.event_id)


@consumer.on(StockRejected)
def note_rejected_stock(event: StockRejected) -> None:
    """Cancel the order: there is not enough."""
    advance_order(event.order_id, Happening.STOCK_REJECTED, event.event_id)


@consumer.on(PaymentAuthorized)
def note_authorized_payment(event: PaymentAuthorized) -> None:
    """Confirm the order if its stock is held as well."""
    advance_order(event.order_id, Happening.PAYMENT_AUTHORIZED, event.event_id)


@consumer.on(PaymentDeclined)
def note_declined_payment(event: PaymentDeclined) -> None:
    """Cancel the order: it will not be paid for."""
    advance_order(event.order_id, Happening.PAYMENT_DECLINED, event.event_id)


@consumer.on(PaymentCaptured)
def note_captured_payment(event: PaymentCaptured) -> None:
    """Keep it in the order's history."""
    advance_order(event.order_id, Happening.PAYMENT_CAPTURED, event.event_id)


@consumer.on(PaymentVoided)
def note_voided_payment(event: PaymentVoided) -> None:
    """Keep it in the order's history."""
    advance_order(event.order_id, Happening.PAYMENT_VOIDED, event.event_id)
