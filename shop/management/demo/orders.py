"""The events in the life of one invented order."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from relay import Event
from shop import events
from shop.management.demo.assortment import Article, Assortment
from shop.management.demo.buyers import Buyers
from shop.management.demo.curve import Calendar

SHIPPING, SHIPPING_FREE_FROM = 490, 5000
REFERENCE = "00000000-0000-7000-8000-000000000000"
DECLINE_REASONS = ("insufficient_funds", "insufficient_funds", "expired_card", "do_not_honor")
Cart = dict[Article, int]


def make_id(dice: Random) -> UUID:
    """Return a random id."""
    return UUID(int=dice.getrandbits(128), version=4)


def find_total(cart: Cart) -> tuple[int, int]:
    """Return the total of the cart with shipping, and the shipping."""
    subtotal = sum(article.price * quantity for article, quantity in cart.items())
    shipping = 0 if subtotal >= SHIPPING_FREE_FROM else SHIPPING
    return subtotal + shipping, shipping


class Life:
    """Makes the events of orders."""

    def __init__(self, calendar: Calendar, assortment: Assortment, buyers: Buyers, dice: Random) -> None:
        self._calendar, self._assortment, self._buyers, self._dice = calendar, assortment, buyers, dice

    def live(self, order_id: UUID, cart: Cart, at: datetime, channel: str) -> Iterator[Event]:
        """Yield all events of an order that is placed at `at`."""
        dice, (total, shipping) = self._dice, find_total(cart)
        currency, units = next(iter(cart)).currency, sum(cart.values())
        named: dict[str, Any] = {"order_id": order_id, "number": "DEMO", "contact_id": order_id}
        money: dict[str, Any] = {"order_id": order_id, "amount": total, "currency": currency}
        sums: dict[str, Any] = {**named, "currency": currency, "total": total, "units": units}
        lines = [
            events.OrderedLine(sku=article.sku, quantity=quantity, unit_price=article.price)
            for article, quantity in cart.items()
        ]
        yield events.OrderPlaced(
            **named,
            **self._buyers.place(at),
            occurred_at=at,
            currency=currency,
            discount=0,
            shipping=shipping,
            tax=round(total * 0.16),
            total=total,
            lines=lines,
            payment_reference=REFERENCE,
            channel=channel,
        )
        slow = self._calendar.slow.contains(at)
        paid = at + timedelta(seconds=dice.uniform(60, 900) if slow else dice.lognormvariate(-0.6, 0.5))
        stocked = at + timedelta(seconds=dice.lognormvariate(-1, 0.4))
        end = max(paid, stocked) + timedelta(seconds=dice.uniform(0.1, 0.4))
        short = [
            events.Shortage(sku=article.sku, requested=quantity, available=0)
            for article, quantity in cart.items()
            if self._assortment.is_sold_out(article.sku, at)
        ]
        if short:
            yield events.StockRejected(occurred_at=stocked, order_id=order_id, shortages=short)
            yield events.PaymentAuthorized(occurred_at=paid, **money)
            yield events.OrderCancelled(occurred_at=end, reason="out_of_stock", **sums)
            yield events.PaymentVoided(occurred_at=end + timedelta(seconds=1), **money)
            return
        yield events.StockReserved(occurred_at=stocked, order_id=order_id)
        if dice.random() < (0.4 if self._calendar.declines.contains(at) else 0.035):
            yield events.PaymentDeclined(occurred_at=paid, reason=dice.choice(DECLINE_REASONS), **money)
            yield events.OrderCancelled(occurred_at=end, reason="payment_declined", **sums)
            return
        yield events.PaymentAuthorized(occurred_at=paid, **money)
        yield events.OrderConfirmed(occurred_at=end, **sums)
        captured = end + timedelta(seconds=dice.lognormvariate(0.3, 0.5))
        yield events.PaymentCaptured(occurred_at=captured, **money)
        yield from self._send(named, sums, money, captured)

    def _send(
        self, named: dict[str, Any], sums: dict[str, Any], money: dict[str, Any], captured: datetime
    ) -> Iterator[Event]:
        """Yield the events after the capture: the parcel, or a cancellation, and perhaps a refund."""
        dice = self._dice
        if dice.random() < 0.012:
            cancelled = captured + timedelta(minutes=dice.uniform(1, 180))
            yield events.OrderCancelled(occurred_at=cancelled, reason="cancelled_by_customer", **sums)
            yield events.PaymentRefunded(occurred_at=cancelled + timedelta(seconds=3), left=0, **money)
            return
        shipped = captured + timedelta(hours=dice.uniform(3, 30))
        delivered = shipped + timedelta(hours=dice.uniform(18, 80))
        yield events.OrderShipped(occurred_at=shipped, **named)
        yield events.OrderDelivered(occurred_at=delivered, **named)
        if dice.random() < 0.045:
            amount = money["amount"] if dice.random() < 0.5 else money["amount"] // dice.randint(2, 4)
            yield events.PaymentRefunded(
                occurred_at=delivered + timedelta(hours=dice.uniform(5, 200)),
                **{**money, "amount": amount},
                left=money["amount"] - amount,
            )
