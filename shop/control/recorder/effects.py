"""The effects of an event in each consumer's tables, as text. Each effect row has the id of its event."""

from collections.abc import Callable

from relay.models import Outbox
from shop.catalogue.money import format_money
from shop.control.recorder.facts import Facts

#: The text for an applied event without a row, for example a cancellation of an order that held no stock.
NOTHING = "applied; nothing was needed"


def name_event(event: Outbox) -> str:
    """Return the name of the event's class, for example OrderPlaced."""
    return event.type.rpartition(".")[0] or event.type


def describe_effect(facts: Facts, consumer: str, event: Outbox) -> str:
    """Return the effect of an applied event of the order in a consumer's tables."""
    describe = DESCRIBED.get(consumer)
    return (describe(facts, event) if describe else "applied") or NOTHING


def describe_step(facts: Facts, event: Outbox) -> str:
    """Return the saga's decision about an answer of inventory or payments."""
    for step in facts.steps:
        if step.event_id == event.event_id:
            changed = (
                f"{step.before} → {step.after}"
                if step.before != step.after
                else f"noted, the order is still {step.after}"
            )
            return f"saga: {changed}"
    return ""


def describe_stock(facts: Facts, event: Outbox) -> str:
    """Return the movements of stock that the event caused."""
    moved = [row for row in facts.movements if row.event_id == event.event_id]
    if moved:
        parts = [f"{row.kind} {abs(row.reserved_delta or row.on_hand_delta)} {row.sku}" for row in moved]
        return f"stock: {', '.join(parts)}"
    if name_event(event) != "OrderPlaced":
        return ""
    if any(row.event_id == event.event_id for row in facts.backorders):
        return "stock: waits for pieces that undecided orders hold"
    answers = {name_event(row) for row in facts.events}
    if "StockRejected" in answers:
        return "stock: rejected, too few pieces"
    return "stock: reserved" if "StockReserved" in answers else ""


def describe_payment(facts: Facts, event: Outbox) -> str:
    """Return the next operation of the payment that the event caused."""
    payment = facts.payment
    if payment is None:
        return ""
    if payment.event_id == event.event_id:
        return f"payment: opened, {format_money(payment.amount, payment.currency)}"
    operations = {attempt.operation for attempt in facts.attempts}
    match name_event(event):
        case "OrderConfirmed":
            return "payment: capture requested"
        case "OrderCancelled":
            back = [row for row in facts.refunds if row.requested_by == str(event.event_id)]
            if back:
                return f"payment: refund of {format_money(back[0].amount, payment.currency)} requested"
            if "void" in operations or payment.wanted == "void":
                return "payment: void requested"
            return "payment: ended without a call" if payment.status == "voided" else ""
    return ""


def describe_messages(facts: Facts, event: Outbox) -> str:
    """Return the channels of the messages that the event caused."""
    channels = sorted(row.get_channel_display() for row in facts.messages if row.event_id == event.event_id)
    return f"messages: {', '.join(channels)}" if channels else ""


def describe_fact(facts: Facts, event: Outbox) -> str:
    """Return the milestone that analytics has stored for the event."""
    milestone = MILESTONES.get(name_event(event))
    at = getattr(facts.fact, f"{milestone}_at", None) if facts.fact and milestone else None
    return f"analytics: {milestone} at {at:%H:%M:%S}" if at else ""


#: The milestones of analytics by the event that sets them.
MILESTONES = {
    "OrderPlaced": "placed",
    "StockReserved": "reserved",
    "StockRejected": "rejected",
    "PaymentAuthorized": "authorized",
    "PaymentDeclined": "declined",
    "OrderConfirmed": "confirmed",
    "PaymentCaptured": "captured",
    "OrderShipped": "shipped",
    "OrderDelivered": "delivered",
    "OrderCancelled": "cancelled",
}
DESCRIBED: dict[str, Callable[[Facts, Outbox], str]] = {
    "orders": describe_step,
    "inventory": describe_stock,
    "payments": describe_payment,
    "notifications": describe_messages,
    "analytics": describe_fact,
}
