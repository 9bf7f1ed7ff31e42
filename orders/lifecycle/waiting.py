"""Why an order waits longer than usual, for its customer."""

from datetime import UTC, datetime

from orders.models import Order
from shop.delays.waiting import Waiting, find_waiting

#: The consumers that an unanswered question of an order waits for. The saga, `orders`, applies each answer.
STOCK, PAYMENT = ("inventory", "orders"), ("payments", "orders")


def explain_waiting(order: Order) -> Waiting | None:
    """Return why a placed order waits, or None if nothing is late or the order does not wait."""
    if order.status != Order.Status.PLACED:
        return None
    age = (datetime.now(UTC) - order.placed_at).total_seconds()
    found = []
    if order.stock == Order.Stock.PENDING:
        found.append(find_waiting(STOCK, "The stock check", age))
    if order.payment == Order.Payment.PENDING:
        found.append(find_waiting(PAYMENT, "The payment request", age))
    return max(filter(None, found), key=lambda waiting: waiting.behind_seconds or 0, default=None)
