"""Believable traffic from a seed: visits, orders, declines, stock-outs, refunds, and events that are late.

Times are around midnight UTC and around the end of summer time, where a mistake with days or time zones shows. One
visit in ten is late: it occurred up to 40 days before the others. The list is in the order of publication, in which
the events of each key have their order.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from relay import Event
from shop import events
from shop.events import Shortage
from tests.analytics.conftest import cancelled, confirmed, paid, placed

#: Midnight UTC, an hour before clocks in Europe go back from 3:00 to 2:00.
MIDNIGHT = datetime(2026, 10, 25, tzinfo=UTC)
PRICES = {"MUG": 1490, "POT": 3000, "LAMP": 4990, "TEA": 590}


class Traffic:
    """The events of `visits` visits and about half as many orders."""

    def __init__(self, seed: int, visits: int = 30) -> None:
        self._dice = Random(seed)
        streams = [list(self._visit()) for _ in range(visits)] + [list(self._stock(sku)) for sku in PRICES]
        #: All events, mixed as they happen at the same time.
        self.events: list[Event] = []
        while streams := [stream for stream in streams if stream]:
            self.events.append(self._dice.choice(streams).pop(0))

    def _id(self) -> UUID:
        return UUID(int=self._dice.getrandbits(128), version=4)

    def _moment(self) -> datetime:
        """Return a time within three hours of midnight, or up to 40 days earlier."""
        late = timedelta(days=40) * self._dice.random() if self._dice.random() < 0.1 else timedelta()
        return MIDNIGHT + timedelta(seconds=self._dice.uniform(-3 * 3600, 3 * 3600)) - late

    def _later(self, at: datetime, minutes: float) -> datetime:
        return at + timedelta(minutes=self._dice.uniform(0, minutes))

    def _visit(self) -> Iterator[Event]:
        """One visitor: views and cart changes with pauses around 30 minutes, then perhaps a checkout and an order."""
        visitor, at, cart = self._id(), self._moment(), dict[str, int]()
        for _ in range(self._dice.randint(1, 6)):
            sku = self._dice.choice([*PRICES])
            yield events.ProductViewed(occurred_at=at, visitor=visitor, sku=sku)
            if self._dice.random() < 0.6:
                cart[sku] = self._dice.randint(0, 3)
                at = self._later(at, 2)
                yield events.CartChanged(occurred_at=at, visitor=visitor, sku=sku, quantity=cart[sku])
            at = self._later(at, self._dice.choice([1, 5, 60]))
        cart = {sku: quantity for sku, quantity in cart.items() if quantity}
        if not cart:
            return
        total = sum(PRICES[sku] * quantity for sku, quantity in cart.items())
        yield events.CheckoutStarted(
            occurred_at=at, visitor=visitor, units=sum(cart.values()), total=total, currency="EUR"
        )
        if self._dice.random() < 0.7:
            at, order_id = self._later(at, 3), self._id()
            life = list(self._life(order_id, cart, total, at))
            yield life[0]
            yield events.CheckoutCompleted(occurred_at=at, visitor=visitor, order_id=order_id)
            yield from life[1:]

    def _life(self, order_id: UUID, cart: dict[str, int], total: int, at: datetime) -> Iterator[Event]:
        """The events of one order with a random end."""
        units, dice = sum(cart.values()), self._dice
        currency = dice.choice(["EUR", "EUR", "NOK"])
        lines = {sku: (quantity, PRICES[sku]) for sku, quantity in cart.items()}
        known = {"nth_order": dice.randint(1, 9), "first_this_month": dice.random() < 0.5}
        unknown = {"channel": None, "nth_order": None, "first_order_month": None, "first_this_month": None}
        yield placed(at, order_id, lines, currency=currency, **(known if dice.random() < 0.8 else unknown))
        if dice.random() < 0.2:
            sku = dice.choice([*cart])
            short = [Shortage(sku=sku, requested=cart[sku], available=dice.randint(-1, cart[sku]))]
            yield events.StockRejected(occurred_at=self._later(at, 1), order_id=order_id, shortages=short)
            yield paid(events.PaymentAuthorized, self._later(at, 1), order_id, total)
            yield cancelled(self._later(at, 2), order_id, units, total, "out_of_stock")
            yield paid(events.PaymentVoided, self._later(at, 3), order_id, total)
            return
        yield events.StockReserved(occurred_at=self._later(at, 1), order_id=order_id)
        if dice.random() < 0.2:
            reason = dice.choice(["insufficient_funds", "expired_card"])
            yield paid(events.PaymentDeclined, self._later(at, 1), order_id, total, reason=reason)
            yield cancelled(self._later(at, 2), order_id, units, total)
            return
        yield paid(events.PaymentAuthorized, self._later(at, 1), order_id, total)
        yield confirmed(self._later(at, 2), order_id, units, total, currency)
        if dice.random() < 0.2:
            yield paid(events.PaymentFailed, self._later(at, 3), order_id, total, reason="expired_card")
        yield paid(events.PaymentCaptured, self._later(at, 5), order_id, total)
        for kind in (events.OrderShipped, events.OrderDelivered):
            if dice.random() < 0.7:
                at = self._later(at, 60 * 24 * 3)
                yield kind(occurred_at=at, order_id=order_id, number="N1", contact_id=UUID(int=1))
        for left in (total // 2, 0):
            if dice.random() < 0.3:
                yield paid(events.PaymentRefunded, self._later(at, 600), order_id, total // 2, left=left)

    def _stock(self, sku: str) -> Iterator[Event]:
        """The stock events of one product, in the order of their times."""
        at = self._moment()
        for _ in range(self._dice.randint(0, 4)):
            at = self._later(at, 120) + timedelta(seconds=1)
            if self._dice.random() < 0.6:
                available = self._dice.choice([0, 0, 2])
                yield events.StockLow(occurred_at=at, sku=sku, available=available, low_at=5)
            else:
                yield events.StockBack(occurred_at=at, sku=sku, available=9)
