"""The products of the demo history: how popular they are, and when they are sold out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from relay import Event
from shop.events import StockBack, StockLow
from shop.management.demo.curve import Calendar, Incident


class Article(NamedTuple):
    """A product, with the price of one piece in minor units."""

    sku: str
    price: int
    currency: str


class Assortment:
    """Products in the order of their popularity. The n-th product is chosen in proportion to 1/(n + 4).

    In the last week, `rising` is chosen more often each day.
    """

    def __init__(self, articles: list[Article], calendar: Calendar, dice: Random) -> None:
        self.articles = sorted(articles)
        dice.shuffle(self.articles)
        self._dice, self._calendar = dice, calendar
        self._weights = [*accumulate(1 / (place + 4) for place in range(len(self.articles)))]
        self.rising = self.articles[min(20, len(self.articles) - 1)]
        self.sold_out = {sku: self._plan(days_ago) for sku, days_ago in self._choose()}

    def _choose(self) -> list[tuple[str, float]]:
        """Return the products that are sold out once, and the days before the end; the last ones are sold out now."""
        days_ago = (20.0, 12.5, 8.2, 4.4, 2.1, 0.9, 0.35)
        return [(article.sku, days) for article, days in zip(self.articles[1:15:2], days_ago, strict=False) if days > 0]

    def _plan(self, days_ago: float) -> Incident:
        began = self._calendar.end - timedelta(days=days_ago)
        hours = self._dice.uniform(5, 30) if days_ago > 1 else 24 * days_ago + 99
        return Incident(began, began + timedelta(hours=hours))

    def draw(self, moment: datetime) -> Article:
        """Return a random product."""
        age = (self._calendar.end - moment) / timedelta(days=1)
        if age < 7 and self._dice.random() < 0.012 * (7 - age):
            return self.rising
        return self._dice.choices(self.articles, cum_weights=self._weights)[0]

    def is_sold_out(self, sku: str, moment: datetime) -> bool:
        """Return whether the product has no available pieces at `moment`."""
        incident = self.sold_out.get(sku)
        return incident is not None and incident.contains(moment)

    def list_events(self) -> Iterator[Event]:
        """Yield the events of stock in the order of each product."""
        for sku, incident in self.sold_out.items():
            yield StockLow(occurred_at=incident.began - timedelta(hours=3), sku=sku, available=3, low_at=5)
            yield StockLow(occurred_at=incident.began, sku=sku, available=0, low_at=5)
            yield StockBack(occurred_at=incident.ended, sku=sku, available=40)
