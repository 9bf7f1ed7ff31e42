"""The rows that a batch of events adds to the tables. Nothing here depends on the database or on the clock."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from analytics.models import Kind
from relay import Event
from shop import events as contract

#: The three values of an optional truth value in an array of texts.
_FLAGS = {None: "", False: "false", True: "true"}
#: An unknown number in an array, which has no null.
UNKNOWN = -1


class Rows:
    """Rows by table. Lists have tuples of columns; counts are added up by their key."""

    def __init__(self) -> None:
        #: (order_id, kind, at, reason, amount) of each step of an order.
        self.steps: list[tuple[UUID, str, datetime, str, int]] = []
        #: (order_id, currency, discount, shipping, tax, total, units, nth, month, is first this month, channel).
        self.placed: list[tuple[Any, ...]] = []
        #: (order_id, sku, at, quantity, unit_price, currency) of each placed line.
        self.lines: list[tuple[Any, ...]] = []
        #: (order_id, sku, at, missing) of each line with too little stock.
        self.shortages: list[tuple[Any, ...]] = []
        #: (order_id, at) of each confirmed order.
        self.confirmed: list[tuple[UUID, datetime]] = []
        #: (event_id, at, visitor, kind, sku, quantity, amount, currency, order_id).
        self.activities: list[tuple[Any, ...]] = []
        #: (sku, at, is available again) of a product that is sold out, or available again.
        self.stock: list[tuple[str, datetime, bool]] = []
        #: (minute, kind, currency) -> [count, units, amount].
        self.minutes: dict[tuple[datetime, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        #: (hour, sku, currency) -> [views, carts, ordered units, ordered amount].
        self.hours: dict[tuple[datetime, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def count(self, kind: Kind, at: datetime, currency: str = "", units: int = 0, amount: int = 0) -> None:
        """Count an event in its minute."""
        minute = self.minutes[cut_to_minute(at), kind.value, currency]
        minute[0] += 1
        minute[1] += units
        minute[2] += amount

    def add_step(self, kind: Kind, event: Any, *, reason: str = "", amount: int = 0) -> None:
        """Add a step of the event's order."""
        self.steps.append((event.order_id, kind.value, event.occurred_at, reason, amount))


def cut_to_minute(moment: datetime) -> datetime:
    """Return the start of the minute that contains `moment`, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def cut_to_hour(moment: datetime) -> datetime:
    """Return the start of the hour that contains `moment`, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def read_rows(events: Sequence[Event]) -> Rows:
    """Return the rows of `events`, whose classes are all in READERS."""
    rows = Rows()
    for event in events:
        READERS[type(event)](rows, event)
    return rows


def _read_placed(rows: Rows, event: contract.OrderPlaced) -> None:
    at, currency, units = event.occurred_at, event.currency, sum(line.quantity for line in event.lines)
    rows.add_step(Kind.PLACED, event)
    rows.count(Kind.PLACED, at, currency, units, event.total)
    amounts = (currency, event.discount, event.shipping, event.tax, event.total, units)
    buyer = (event.nth_order or UNKNOWN, event.first_order_month or "", _FLAGS[event.first_this_month])
    rows.placed.append((event.order_id, *amounts, *buyer, event.channel or ""))
    for line in event.lines:
        rows.lines.append((event.order_id, line.sku, at, line.quantity, line.unit_price, currency))
        hour = rows.hours[cut_to_hour(at), line.sku, currency]
        hour[2] += line.quantity
        hour[3] += line.quantity * line.unit_price


def _read_confirmed(rows: Rows, event: contract.OrderConfirmed) -> None:
    rows.add_step(Kind.CONFIRMED, event)
    rows.count(Kind.CONFIRMED, event.occurred_at, event.currency, event.units, event.total)
    rows.confirmed.append((event.order_id, event.occurred_at))


def _read_cancelled(rows: Rows, event: contract.OrderCancelled) -> None:
    rows.add_step(Kind.CANCELLED, event, reason=event.reason)
    rows.count(Kind.CANCELLED, event.occurred_at, event.currency, event.units, event.total)


def _read_rejected(rows: Rows, event: contract.StockRejected) -> None:
    _step(Kind.REJECTED)(rows, event)
    for short in event.shortages:
        missing = max(short.requested - short.available, 0)
        rows.shortages.append((event.order_id, short.sku, event.occurred_at, missing))


def _step(kind: Kind) -> Callable[[Rows, Any], None]:
    """Return a reader of events that are a step of an order without an amount."""

    def read(rows: Rows, event: Any) -> None:
        rows.add_step(kind, event)
        rows.count(kind, event.occurred_at)

    return read


def _payment(kind: Kind) -> Callable[[Rows, Any], None]:
    """Return a reader of payment events."""

    def read(rows: Rows, event: Any) -> None:
        rows.add_step(kind, event, reason=getattr(event, "reason", ""), amount=event.amount)
        rows.count(kind, event.occurred_at, event.currency, 0, event.amount)

    return read


def _read_low(rows: Rows, event: contract.StockLow) -> None:
    rows.count(Kind.LOW, event.occurred_at)
    if event.available <= 0:
        rows.stock.append((event.sku, event.occurred_at, False))


def _read_back(rows: Rows, event: contract.StockBack) -> None:
    rows.count(Kind.BACK, event.occurred_at)
    rows.stock.append((event.sku, event.occurred_at, True))


def _read_viewed(rows: Rows, event: contract.ProductViewed) -> None:
    rows.count(Kind.VIEWED, event.occurred_at)
    rows.hours[cut_to_hour(event.occurred_at), event.sku, ""][0] += 1
    rows.activities.append(_describe(event, Kind.VIEWED, sku=event.sku))


def _read_cart(rows: Rows, event: contract.CartChanged) -> None:
    rows.count(Kind.CART_CHANGED, event.occurred_at, "", event.quantity)
    if event.quantity > 0:
        rows.hours[cut_to_hour(event.occurred_at), event.sku, ""][1] += 1
    rows.activities.append(_describe(event, Kind.CART_CHANGED, sku=event.sku, quantity=event.quantity))


def _read_started(rows: Rows, event: contract.CheckoutStarted) -> None:
    rows.count(Kind.CHECKOUT_STARTED, event.occurred_at, event.currency, event.units, event.total)
    row = _describe(event, Kind.CHECKOUT_STARTED, quantity=event.units, amount=event.total, currency=event.currency)
    rows.activities.append(row)


def _read_completed(rows: Rows, event: contract.CheckoutCompleted) -> None:
    rows.count(Kind.CHECKOUT_COMPLETED, event.occurred_at)
    rows.activities.append(_describe(event, Kind.CHECKOUT_COMPLETED, order_id=str(event.order_id)))


def _describe(
    event: contract.ActivityEvent,
    kind: Kind,
    *,
    sku: str = "",
    quantity: int = UNKNOWN,
    amount: int = UNKNOWN,
    currency: str = "",
    order_id: str = "",
) -> tuple[Any, ...]:
    """Return the row of an activity event."""
    return event.event_id, event.occurred_at, event.visitor, kind.value, sku, quantity, amount, currency, order_id


#: The function that reads the events of a class. Its keys are the events that analytics handles.
READERS: dict[type[Event], Callable[[Rows, Any], None]] = {
    contract.OrderPlaced: _read_placed,
    contract.OrderConfirmed: _read_confirmed,
    contract.OrderCancelled: _read_cancelled,
    contract.OrderShipped: _step(Kind.SHIPPED),
    contract.OrderDelivered: _step(Kind.DELIVERED),
    contract.StockReserved: _step(Kind.RESERVED),
    contract.StockRejected: _read_rejected,
    contract.StockLow: _read_low,
    contract.StockBack: _read_back,
    contract.PaymentAuthorized: _payment(Kind.AUTHORIZED),
    contract.PaymentDeclined: _payment(Kind.DECLINED),
    contract.PaymentCaptured: _payment(Kind.CAPTURED),
    contract.PaymentFailed: _payment(Kind.FAILED),
    contract.PaymentVoided: _payment(Kind.VOIDED),
    contract.PaymentRefunded: _payment(Kind.REFUNDED),
    contract.ProductViewed: _read_viewed,
    contract.CartChanged: _read_cart,
    contract.CheckoutStarted: _read_started,
    contract.CheckoutCompleted: _read_completed,
}
