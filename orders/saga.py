"""The life of an order as one pure table: (what is known, what happened) -> (what is known now, what to publish).

    placed --- stock reserved and payment authorized ---> confirmed ---> shipped ---> delivered
       |
       +------ stock rejected, payment declined, cancelled on request, deadline passed ---> cancelled

The two answers come in any order and at once. An answer that comes after the end changes nothing: whoever holds
something for the order gives it back on OrderCancelled. What cannot happen raises.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class ImpossibleTransition(Exception):
    """This can't happen in this state: a bug, or somebody else's message."""


class Happening(StrEnum):
    """What can happen to an order after it was placed."""

    STOCK_RESERVED = "StockReserved"
    STOCK_REJECTED = "StockRejected"
    PAYMENT_AUTHORIZED = "PaymentAuthorized"
    PAYMENT_DECLINED = "PaymentDeclined"
    PAYMENT_CAPTURED = "PaymentCaptured"
    PAYMENT_VOIDED = "PaymentVoided"
    CANCEL_REQUESTED = "CancelRequested"
    DEADLINE_PASSED = "DeadlinePassed"
    MARKED_SHIPPED = "MarkedShipped"
    MARKED_DELIVERED = "MarkedDelivered"


@dataclass(frozen=True, slots=True)
class State:
    """What is known about an order; the values are those of Order.Status, Order.Stock and Order.Payment."""

    status: str = "placed"
    stock: str = "pending"
    payment: str = "pending"


@dataclass(frozen=True, slots=True)
class Decision:
    """The state after, and the name of the event to publish, if any: ``OrderConfirmed`` and so on."""

    state: State
    publish: str | None = None
    reason: str = ""


_ANSWERS = {
    Happening.STOCK_RESERVED: ("stock", "reserved"),
    Happening.STOCK_REJECTED: ("stock", "rejected"),
    Happening.PAYMENT_AUTHORIZED: ("payment", "authorized"),
    Happening.PAYMENT_DECLINED: ("payment", "declined"),
}
_REASONS = {
    Happening.STOCK_REJECTED: "out_of_stock",
    Happening.PAYMENT_DECLINED: "payment_declined",
    Happening.CANCEL_REQUESTED: "cancelled_on_request",
    Happening.DEADLINE_PASSED: "deadline_passed",
}


def decide(state: State, happening: Happening) -> Decision:
    """Decide what follows when `happening` meets `state`.

    :raises ImpossibleTransition: the pair can't happen.
    """
    if happening in _ANSWERS:
        return _decide_on_answer(state, happening)
    match happening, state.status:
        case Happening.CANCEL_REQUESTED | Happening.DEADLINE_PASSED, "placed":
            return Decision(replace(state, status="cancelled"), "OrderCancelled", _REASONS[happening])
        case Happening.DEADLINE_PASSED, _:
            return Decision(state)
        case Happening.CANCEL_REQUESTED, "cancelled":
            return Decision(state)
        case Happening.MARKED_SHIPPED, "confirmed":
            return Decision(replace(state, status="shipped"), "OrderShipped")
        case Happening.MARKED_DELIVERED, "shipped":
            return Decision(replace(state, status="delivered"), "OrderDelivered")
        case Happening.PAYMENT_CAPTURED, "confirmed" | "shipped" | "delivered":
            return Decision(state)
        case Happening.PAYMENT_VOIDED, "cancelled":
            return Decision(state)
    raise ImpossibleTransition(f"{happening} while {state.status}")


def _decide_on_answer(state: State, happening: Happening) -> Decision:
    part, answer = _ANSWERS[happening]
    if getattr(state, part) != "pending":
        raise ImpossibleTransition(f"{happening}, but {part} has already answered {getattr(state, part)}")
    if state.status not in ("placed", "cancelled"):
        raise ImpossibleTransition(f"{happening} while {state.status}")
    known = replace(state, **{part: answer})
    if state.status == "cancelled":
        return Decision(known)
    if happening in _REASONS:
        return Decision(replace(known, status="cancelled"), "OrderCancelled", _REASONS[happening])
    if known.stock == "reserved" and known.payment == "authorized":
        return Decision(replace(known, status="confirmed"), "OrderConfirmed")
    return Decision(known)
