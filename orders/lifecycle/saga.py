"""The saga of an order as a pure table: (state, happening) -> (new state, event to publish).

    placed ---- stock reserved and payment authorized ----> confirmed ---- shipped ----> shipped ----> delivered
       |                                                        |     (once captured)
       |  stock rejected, payment declined, deadline passed,    |  cancelled by its customer
       |  cancelled by its customer or by staff                 |  or by staff
       v                                                        v
       +-----------------------> cancelled <--------------------+

    payment    pending ----> authorized ----> captured ----> refunded     once all of it went back
                  |  |            |  |            ^
                  |  |            |  +--> failed -+     captured again by staff
                  |  +--> voided <+----------+     only after the order is cancelled
                  +-----> declined

The answers of inventory and payments arrive in any order. An answer after the cancellation is recorded and decides
nothing: each app that holds stock or money for the order returns it on OrderCancelled, and publishes the return. A pair
of state and happening without a row raises.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import NamedTuple


class ImpossibleTransition(Exception):
    """The table has no row for this state and happening: a bug in the shop, or a message that the shop did not send."""


class Happening(StrEnum):
    """The events that can change an order after it was placed."""

    STOCK_RESERVED = "StockReserved"
    STOCK_REJECTED = "StockRejected"
    PAYMENT_AUTHORIZED = "PaymentAuthorized"
    PAYMENT_DECLINED = "PaymentDeclined"
    PAYMENT_CAPTURED = "PaymentCaptured"
    PAYMENT_FAILED = "PaymentFailed"
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
    """The state of an order, with the values of Order.Status, Order.Stock and Order.Payment."""

    status: str = "placed"
    stock: str = "pending"
    payment: str = "pending"


@dataclass(frozen=True, slots=True)
class Decision:
    """The new state, and the class name of the event to publish, if any, for example ``OrderConfirmed``."""

    state: State
    publish: str | None = None
    reason: str = ""


class Row(NamedTuple):
    """The effect of `happening` in `states`: ``status stock payment``, alternatives separated by ``|``, ``-`` for any.

    A ``-`` in `becomes` means that this part does not change.
    """

    states: str
    happening: Happening
    becomes: str = "- - -"
    publish: str | None = None
    reason: str = ""


_H = Happening
ROWS = [
    # The order waits for both answers. The second positive answer confirms it, the first negative answer cancels it.
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
    # Cancellations. A deadline that passes after the order was confirmed or cancelled changes nothing.
    Row("placed|confirmed - -", _H.CANCEL_REQUESTED, "cancelled - -", "OrderCancelled", "cancelled_on_request"),
    Row("placed|confirmed - -", _H.CANCELLED_BY_STAFF, "cancelled - -", "OrderCancelled", "cancelled_by_staff"),
    Row("cancelled - -", _H.CANCEL_REQUESTED),
    Row("cancelled - -", _H.CANCELLED_BY_STAFF),
    Row("placed - -", _H.DEADLINE_PASSED, "cancelled - -", "OrderCancelled", "deadline_passed"),
    Row("confirmed|shipped|delivered|cancelled - -", _H.DEADLINE_PASSED),
    # Fulfilment. Staff can ship an order only while its payment is captured and not fully refunded.
    Row("confirmed reserved authorized|failed", _H.PAYMENT_CAPTURED, "- - captured"),
    # After a failed capture the order waits: staff capture again, or cancel.
    Row("confirmed reserved authorized", _H.PAYMENT_FAILED, "- - failed"),
    Row("confirmed reserved captured", _H.MARKED_SHIPPED, "shipped - -", "OrderShipped"),
    Row("shipped reserved captured|refunded", _H.MARKED_DELIVERED, "delivered - -", "OrderDelivered"),
    # Refunds, also partial, by staff or after a cancellation.
    Row("confirmed|shipped|delivered|cancelled reserved captured", _H.PAYMENT_PARTLY_REFUNDED),
    Row("confirmed|shipped|delivered|cancelled reserved captured", _H.PAYMENT_REFUNDED, "- - refunded"),
    # Answers that arrive after the cancellation, and the compensations.
    Row("cancelled pending -", _H.STOCK_RESERVED, "- reserved -"),
    Row("cancelled pending -", _H.STOCK_REJECTED, "- rejected -"),
    Row("cancelled - pending", _H.PAYMENT_AUTHORIZED, "- - authorized"),
    Row("cancelled - pending", _H.PAYMENT_DECLINED, "- - declined"),
    Row("cancelled - pending|authorized|failed", _H.PAYMENT_VOIDED, "- - voided"),
    Row("cancelled reserved authorized|failed", _H.PAYMENT_CAPTURED, "- - captured"),
    Row("cancelled reserved authorized", _H.PAYMENT_FAILED, "- - failed"),
]
_VALUES = (
    "placed|confirmed|shipped|delivered|cancelled",
    "pending|reserved|rejected",
    "pending|authorized|declined|captured|failed|voided|refunded",
)


def _spell_out(states: str) -> list[State]:
    """Return every state that a row's `states` match."""
    parts = [(every if part == "-" else part).split("|") for part, every in zip(states.split(), _VALUES, strict=True)]
    return [State(*values) for values in product(*parts)]


def _decide(state: State, row: Row) -> Decision:
    names = ("status", "stock", "payment")
    changes = {name: value for name, value in zip(names, row.becomes.split(), strict=True) if value != "-"}
    return Decision(replace(state, **changes), row.publish, row.reason)


def _make_table() -> dict[tuple[State, Happening], Decision]:
    """Return the decisions for all states that a new order can reach."""
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
    """Return the decision for `happening` in `state`.

    :raises ImpossibleTransition: the table has no row for this pair.
    """
    decision = TABLE.get((state, happening))
    if decision is None:
        known = f"stock {state.stock}, payment {state.payment}"
        raise ImpossibleTransition(f"{happening} can't happen while {state.status} ({known})")
    return decision
