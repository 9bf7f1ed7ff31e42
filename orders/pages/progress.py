"""The state of an order as text for the customer."""

from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from orders.lifecycle.waiting import explain_waiting
from orders.models import Order

HEADINGS = {
    "placed": "We have your order",
    "confirmed": "Your order is confirmed",
    "shipped": "Your order is on its way",
    "delivered": "Your order has arrived",
    "cancelled": "Your order was cancelled",
}
EXPLANATIONS = {
    "placed": "We are reserving your products and requesting the payment from your bank. This takes a few seconds.",
    "confirmed": "Your products are reserved, and the payment is approved. We will write to you when we send them.",
    "shipped": "The parcel has left our warehouse. It usually arrives within three days.",
    "delivered": "We hope you enjoy your order for a long time.",
    "cancelled": "",
}
REASONS = {
    "out_of_stock": "A product sold out before we could reserve it, so we will not send this order.",
    "payment_declined": "Your bank declined the payment. You were not charged; please order again with another card.",
    "cancelled_on_request": "You cancelled this order.",
    "cancelled_by_staff": "We had to cancel this order and will not send it. We are sorry.",
    "deadline_passed": "We could not complete this order in time. We are sorry.",
}
NOT_PAID = (
    "Your products are reserved, but we could not take your payment, and you were not charged. We are looking into it."
    " We will send the order only after the payment."
)
NOT_SENT = "We will not send this order."
STOCK = {
    "pending": "Reserving your products",
    "reserved": "Your products are reserved",
    "rejected": "A product sold out",
}
PAYMENT = {
    "pending": "Requesting the payment",
    "authorized": "Payment approved",
    "declined": "Payment declined",
    "captured": "Payment taken",
    "failed": "We could not take the payment",
    "voided": "You were not charged",
    "refunded": "Payment refunded",
}
POLL_SECONDS = {"placed": 2, "confirmed": 15, "shipped": 60}
#: The payment's states that still change after a cancellation, and the texts for them.
GIVING_BACK = {
    "pending": "",
    "authorized": " Your bank is releasing the amount that it reserved.",
    "failed": " You were not charged. Your bank is releasing the amount that it reserved.",
    "captured": " We are refunding your payment.",
}
#: The payment's final states, and the texts for them.
GIVEN_BACK = {
    "voided": " You were not charged.",
    "refunded": " We refunded your payment; your bank may take some days to show the refund.",
}


@dataclass(frozen=True)
class Step:
    """A step of the timeline. `state` is done, now, todo or failed. `details` are the steps within the step."""

    label: str
    state: str
    at: datetime | None
    details: list["Step"]


@dataclass(frozen=True)
class Progress:
    """The contents of the order page that depend on the order's state.

    `version` changes with every other field. `poll_seconds` is 0 if nothing will change. `can_cancel` is true if the
    customer may cancel the order. `waiting` says which part is late, or is "".
    """

    heading: str
    explanation: str
    waiting: str
    steps: list[Step]
    version: str
    poll_seconds: int
    can_cancel: bool


def describe_progress(order: Order) -> Progress:
    """Return the contents of the order page for the current state of `order`."""
    explanation = EXPLANATIONS[order.status]
    if order.status == Order.Status.CANCELLED:
        explanation = REASONS.get(order.reason, NOT_SENT)
        explanation += {**GIVING_BACK, **GIVEN_BACK}.get(order.payment, "")
    elif order.payment == Order.Payment.REFUNDED:
        explanation = NOT_SENT if order.status == Order.Status.CONFIRMED else explanation
        explanation += GIVEN_BACK["refunded"]
    elif order.payment == Order.Payment.FAILED:
        explanation = NOT_PAID
    waiting = explain_waiting(order)
    return Progress(
        heading=HEADINGS[order.status],
        explanation=explanation,
        waiting=waiting.text if waiting else "",
        steps=list_steps(order),
        version=find_version(order),
        poll_seconds=find_poll_seconds(order),
        can_cancel=can_cancel(order),
    )


def find_version(order: Order) -> str:
    """Return a text that changes with the contents of the page. Delays are read once per second."""
    waiting = explain_waiting(order)
    mark = f"-{crc32(waiting.text.encode()):08x}" if waiting else ""
    return f"{order.status}-{order.stock}-{order.payment}{mark}"


def find_poll_seconds(order: Order) -> int:
    """Return the seconds between two polls of the order page; 0 if the order will not change."""
    if order.status == Order.Status.CANCELLED:
        return 15 if order.payment in GIVING_BACK else 0
    return POLL_SECONDS.get(order.status, 0)


def can_cancel(order: Order) -> bool:
    """Return whether the customer may cancel the order, which is until it is shipped."""
    return order.status in (Order.Status.PLACED, Order.Status.CONFIRMED)


def list_steps(order: Order) -> list[Step]:
    """Return the steps of the timeline with their times: past, current and future ones."""
    times = {step.event: step.at for step in order.history.all()}
    checks = [
        Step(STOCK[order.stock], describe_answer(order.stock), times.get(f"Stock{order.stock.title()}"), []),
        Step(PAYMENT[order.payment], describe_answer(order.payment), times.get(f"Payment{order.payment.title()}"), []),
    ]
    placed = order.status == Order.Status.PLACED
    steps = [Step("Order received", "now" if placed else "done", order.placed_at, checks)]
    for name in ("confirmed", "shipped", "delivered"):
        at = getattr(order, f"{name}_at")
        if at or order.status != Order.Status.CANCELLED:
            steps.append(Step(name.capitalize(), "done" if at else "todo", at, []))
    if order.status == Order.Status.CANCELLED:
        steps.append(Step("Cancelled", "failed", order.cancelled_at, []))
    return steps


def describe_answer(answer: str) -> str:
    """Return the `Step.state` for an answer of inventory or payments."""
    return {"pending": "now", "rejected": "failed", "declined": "failed", "failed": "failed"}.get(answer, "done")
