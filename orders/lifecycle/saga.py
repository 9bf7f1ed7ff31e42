"""The life of an order as one pure table: (what is known, what happened) -> (what is known now, what to publish).

    placed ---- stock reserved and payment authorized ----> confirmed ---- shipped ----> shipped ----> delivered
       |                                                        |     (once captured)
       |  stock rejected, payment declined, deadline passed,    |  cancelled by its customer
       |  cancelled by its customer or by staff                 |  or by staff
       v                                                        v
       +-----------------------> cancelled <--------------------+

    payment    pending ----> authorized ----> captured ----> refunded     once all of it went back
                  |  |            |
                  |  +--> voided <+     only after the order is cancelled
                  +-----> declined

The two answers come in any order and at once. What comes after the end is written down and decides nothing: whoever
holds something for the order gives it back on OrderCancelled, and then tells that it did. A pair without a row raises.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import NamedTuple


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
    PAYMENT_REFUNDED = "PaymentRefunded"
    PAYMENT_PARTLY_REFUNDED = "PaymentPartlyRefunded"
    CANCEL_REQUESTED = "CancelRequested"
    CANCELLED_BY_STAFF = "CancelledByStaff"
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


class Row(NamedTuple):
    """What `happening` does in some states: ``status stock payment``, each with alternatives, ``-`` for any.

    In `becomes` a ``-`` leaves that part as it is.
    """

    states: str
    happening: Happening
    becomes: str = "- - -"
    publish: str | None = None
    reason: str = ""


_H = Happening
ROWS = [
    # Both answers are waited for: the second good one confirms, the first bad one cancels.
    Row("placed pending pending", _H.STOCK_RESERVED, "- reserved -"),
    Row("placed pending authorized", _H.STOCK_RESERVED, "confirmed reserved -", "OrderConfirmed"),
    Row("placed pending pending", _H.PAYMENT_AUTHORIZED, "- - authorized"),
    Row("placed reserved pending", _H.PAYMENT_AUTHORIZED, "confirmed - authorized", "OrderConfirmed"),
    Row(
        "placed pending pending|authorized", _H.STOCK_REJECTED, "cancelled rejected -", "OrderCancelled", "out_of_stock"
    ),
    Row(
        "placed pending|reserved pending",
        _H.PAYMENT_DECLINED,
        "cancelled - declined",
        "OrderCancelled",
        "payment_declined",
    ),
    # It ends early. A deadline is for orders that wait; the sweep may come too late for that and does no harm.
    Row("placed|confirmed - -", _H.CANCEL_REQUESTED, "cancelled - -", "OrderCancelled", "cancelled_on_request"),
    Row("placed|confirmed - -", _H.CANCELLED_BY_STAFF, "cancelled - -", "OrderCancelled", "cancelled_by_staff"),
    Row("cancelled - -", _H.CANCEL_REQUESTED),
    Row("cancelled - -", _H.CANCELLED_BY_STAFF),
    Row("placed - -", _H.DEADLINE_PASSED, "cancelled - -", "OrderCancelled", "deadline_passed"),
    Row("confirmed|shipped|delivered|cancelled - -", _H.DEADLINE_PASSED),
    # It goes its way. Nothing leaves the house before the money is there, or after all of it went back.
    Row("confirmed reserved authorized", _H.PAYMENT_CAPTURED, "- - captured"),
    Row("confirmed reserved captured", _H.MARKED_SHIPPED, "shipped - -", "OrderShipped"),
    Row("shipped reserved captured|refunded", _H.MARKED_DELIVERED, "delivered - -", "OrderDelivered"),
    # Money may be given back at any time, in parts: by staff, or because the order was cancelled.
    Row("confirmed|shipped|delivered|cancelled reserved captured", _H.PAYMENT_PARTLY_REFUNDED),
    Row("confirmed|shipped|delivered|cancelled reserved captured", _H.PAYMENT_REFUNDED, "- - refunded"),
    # What was under way when it ended, and what gives it back.
    Row("cancelled pending -", _H.STOCK_RESERVED, "- reserved -"),
    Row("cancelled pending -", _H.STOCK_REJECTED, "- rejected -"),
    Row("cancelled - pending", _H.PAYMENT_AUTHORIZED, "- - authorized"),
    Row("cancelled - pending", _H.PAYMENT_DECLINED, "- - declined"),
    Row("cancelled - pending|authorized", _H.PAYMENT_VOIDED, "- - voided"),
    Row("cancelled reserved authorized", _H.PAYMENT_CAPTURED, "- - captured"),
]
_VALUES = (
    "placed|confirmed|shipped|delivered|cancelled",
    "pending|reserved|rejected",
    "pending|authorized|declined|captured|voided|refunded",
)


def _spell_out(states: str) -> list[State]:
    """Return every state that a row's `states` stand for."""
    parts = [(every if part == "-" else part).split("|") for part, every in zip(states.split(), _VALUES, strict=True)]
    return [State(*values) for values in product(*parts)]


def _decide(state: State, row: Row) -> Decision:
    names = ("status", "stock", "payment")
    changes = {name: value for name, value in zip(names, row.becomes.split(), strict=True) if value != "-"}
    return Decision(replace(state, **changes), row.publish, row.reason)


def _make_table() -> dict[tuple[State, Happening], Decision]:
    """Spell the rows out for the states that a new order can get into, and for no others."""
    rows: dict[State, list[Row]] = {}
    for row in ROWS:
        for state in _spell_out(row.states):
            rows.setdefault(state, []).append(row)
    table, reached, new = dict[tuple[State, Happening], Decision](), {State()}, [State()]
    while new:
        state = new.pop()
        for row in rows.get(state, []):
            assert (state, row.happening) not in table, f"two rows for {row.happening} while {state}"
            decision = table[state, row.happening] = _decide(state, row)
            if decision.state not in reached:
                reached.add(decision.state)
                new.append(decision.state)
    return table


TABLE = _make_table()


def decide(state: State, happening: Happening) -> Decision:
    """Decide what follows when `happening` meets `state`.

    :raises ImpossibleTransition: the table has no such pair.
    """
    decision = TABLE.get((state, happening))
    if decision is None:
        known = f"stock {state.stock}, payment {state.payment}"
        raise ImpossibleTransition(f"{happening} can't happen while {state.status} ({known})")
    return decision
