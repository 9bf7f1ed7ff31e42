"""Invented visits: views, cart changes and checkouts, and the orders that follow."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from relay import Event
from shop import events
from shop.management.demo.assortment import Article, Assortment
from shop.management.demo.buyers import Buyers
from shop.management.demo.curve import SLOT, Calendar, draw_count
from shop.management.demo.orders import Cart, Life, find_total, make_id

#: Share of visits with one view, of the others with a cart, of these with a checkout, of these with an order.
BOUNCES, CARTS, CHECKOUTS, ORDERS = 0.38, 0.30, 0.55, 0.66
#: Orders for each visit, and the share of orders through the API.
CONVERSION = (1 - BOUNCES) * CARTS * CHECKOUTS * ORDERS
API_SHARE = 0.08


class History:
    """All events of the calendar, from a seed."""

    def __init__(self, articles: list[Article], calendar: Calendar, orders_per_day: int, seed: int) -> None:
        self._dice = dice = Random(seed)
        self._calendar, self._assortment = calendar, Assortment(articles, calendar, dice)
        self._life = Life(calendar, self._assortment, Buyers(calendar.begin, dice), dice)
        self._orders_per_slot = orders_per_day * (SLOT / timedelta(days=1))

    def list_days(self) -> Iterator[tuple[datetime, list[Event]]]:
        """Yield the end of each day, with the day's events in the order of their times; none is after the end."""
        begin, waiting = self._calendar.begin, sorted(self._assortment.list_events(), key=find_time)
        while begin < self._calendar.end:
            end = min(begin + timedelta(days=1), self._calendar.end)
            waiting += self._list_day(begin, end)
            waiting.sort(key=find_time)
            yield end, [event for event in waiting if event.occurred_at < end]
            waiting = [event for event in waiting if event.occurred_at >= end]
            begin = end

    def _list_day(self, begin: datetime, end: datetime) -> Iterator[Event]:
        dice, slot = self._dice, begin
        while slot < end:
            mean = self._orders_per_slot * self._calendar.find_rate(slot)
            for _ in range(draw_count(dice, mean * (1 - API_SHARE) / CONVERSION)):
                yield from self._visit(slot + SLOT * dice.random())
            for _ in range(draw_count(dice, mean * API_SHARE)):
                at = slot + SLOT * dice.random()
                if not self._calendar.silence.contains(at):
                    yield from self._life.live(
                        make_id(dice), {self._assortment.draw(at): dice.randint(1, 4)}, at, "api"
                    )
            slot += SLOT

    def _visit(self, at: datetime) -> Iterator[Event]:
        dice, visitor, cart = self._dice, make_id(self._dice), Cart()
        chosen = self._assortment.draw(at)
        yield events.ProductViewed(occurred_at=at, visitor=visitor, sku=chosen.sku)
        if dice.random() < BOUNCES:
            return
        buys = dice.random() < CARTS
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 5))):
            at = self._pass_time(at)
            if buys and (not cart or dice.random() < 0.3):
                cart[chosen] = dice.choice((1, 1, 1, 1, 2, 3))
                yield events.CartChanged(occurred_at=at, visitor=visitor, sku=chosen.sku, quantity=cart[chosen])
            chosen = self._assortment.draw(at)
            yield events.ProductViewed(occurred_at=at + timedelta(seconds=8), visitor=visitor, sku=chosen.sku)
        if not cart or dice.random() > CHECKOUTS:
            return
        at, (total, _) = self._pass_time(at), find_total(cart)
        currency, units = chosen.currency, sum(cart.values())
        yield events.CheckoutStarted(occurred_at=at, visitor=visitor, units=units, total=total, currency=currency)
        at = self._pass_time(at)
        if dice.random() < ORDERS and not self._calendar.silence.contains(at):
            order_id = make_id(dice)
            yield from self._life.live(order_id, cart, at, "web")
            yield events.CheckoutCompleted(occurred_at=at, visitor=visitor, order_id=order_id)

    def _pass_time(self, at: datetime) -> datetime:
        return at + timedelta(seconds=self._dice.uniform(10, 150))


def find_time(event: Event) -> datetime:
    """Return the time of the event."""
    return event.occurred_at
