"""Where an order stands, in words for its customer."""

from dataclasses import dataclass
from datetime import datetime

from orders.models import Order

HEADINGS = {
    "placed": "We have your order",
    "confirmed": "Your order is confirmed",
    "shipped": "Your order is on its way",
    "delivered": "Your order has arrived",
    "cancelled": "Your order was cancelled",
}
EXPLANATIONS = {
    "placed": "It is safe with us. We are setting your things aside and asking your bank; this takes a few seconds.",
    "confirmed": "Your things are set aside and the payment went through. We will write as soon as the parcel leaves.",
    "shipped": "The parcel has left our house. It usually arrives within three days.",
    "delivered": "We hope you will have it for a long time.",
    "cancelled": "",
}
REASONS = {
    "out_of_stock": "Something in it sold out before we could set it aside, so nothing of it will be sent.",
    "payment_declined": "Your bank declined the payment. Nothing was charged; please order again with another card.",
    "cancelled_on_request": "It was cancelled as you asked.",
    "cancelled_by_staff": "We had to cancel it, so nothing of it will be sent. We are sorry.",
    "deadline_passed": "We could not complete it in time. We are sorry.",
}
NOT_SENT = "Nothing of it will be sent."
STOCK = {
    "pending": "Setting your things aside",
    "reserved": "Your things are set aside",
    "rejected": "Something sold out",
}
PAYMENT = {
    "pending": "Asking your bank",
    "authorized": "Payment approved",
    "declined": "Payment declined",
    "captured": "Payment taken",
    "voided": "Nothing was charged",
    "refunded": "Payment given back",
}
POLL_SECONDS = {"placed": 2, "confirmed": 15, "shipped": 60}
#: What may still move when the order is cancelled, and what is then said of it.
GIVING_BACK = {
    "pending": "",
    "authorized": " What your bank had set aside for it is given back.",
    "captured": " What you paid is being given back to you.",
}
GIVEN_BACK = {
    "voided": " Nothing was charged.",
    "refunded": " What you paid was given back; banks take some days to show it.",
}


@dataclass(frozen=True)
class Step:
    """One point of the timeline: `state` is done, now, todo or failed."""

    label: str
    state: str
    at: datetime | None
    details: list[tuple[str, str]]


@dataclass(frozen=True)
class Progress:
    """All that the order page shows about the state of an order.

    `version` changes whenever anything shown here does; `poll_seconds` is 0 when nothing will change any more;
    `can_cancel` tells whether the customer may cancel it.
    """

    heading: str
    explanation: str
    steps: list[Step]
    version: str
    poll_seconds: int
    can_cancel: bool


def describe_progress(order: Order) -> Progress:
    """Describe where `order` stands now."""
    explanation = EXPLANATIONS[order.status]
    if order.status == Order.Status.CANCELLED:
        explanation = REASONS.get(order.reason, NOT_SENT)
        explanation += {**GIVING_BACK, **GIVEN_BACK}.get(order.payment, "")
    elif order.payment == Order.Payment.REFUNDED:
        explanation = NOT_SENT if order.status == Order.Status.CONFIRMED else explanation
        explanation += GIVEN_BACK["refunded"]
    return Progress(
        heading=HEADINGS[order.status],
        explanation=explanation,
        steps=list_steps(order),
        version=f"{order.status}-{order.stock}-{order.payment}",
        poll_seconds=find_poll_seconds(order),
        can_cancel=can_cancel(order),
    )


def find_poll_seconds(order: Order) -> int:
    """How often the page looks for news; 0 when there will be none."""
    if order.status == Order.Status.CANCELLED:
        return 15 if order.payment in GIVING_BACK else 0
    return POLL_SECONDS.get(order.status, 0)


def can_cancel(order: Order) -> bool:
    """Tell whether its customer may still cancel it: until it is shipped."""
    return order.status in (Order.Status.PLACED, Order.Status.CONFIRMED)


def list_steps(order: Order) -> list[Step]:
    """The timeline: what has happened, what is happening, and what will."""
    checks = [
        (describe_answer(order.stock), STOCK[order.stock]),
        (describe_answer(order.payment), PAYMENT[order.payment]),
    ]
    placed = order.status == Order.Status.PLACED
    steps = [Step("Placed", "now" if placed else "done", order.placed_at, checks)]
    for name in ("confirmed", "shipped", "delivered"):
        at = getattr(order, f"{name}_at")
        if at or order.status != Order.Status.CANCELLED:
            steps.append(Step(name.capitalize(), "done" if at else "todo", at, []))
    if order.status == Order.Status.CANCELLED:
        steps.append(Step("Cancelled", "failed", order.cancelled_at, []))
    return steps


def describe_answer(answer: str) -> str:
    """The state of a check, as a Step's."""
    return {"pending": "now", "rejected": "failed", "declined": "failed"}.get(answer, "done")
