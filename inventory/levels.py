"""What is told when a SKU runs low or can be had again: once, by the change that crosses the line."""

from collections.abc import Iterable
from typing import NamedTuple

from shop.events import StockBack, StockLow


class Change(NamedTuple):
    """How many pieces of a SKU could be had before and after, and how few are too few."""

    sku: str
    before: int
    after: int
    low_at: int


def find_news(changes: Iterable[Change]) -> list[StockLow | StockBack]:
    """Return the events that tell of `changes`, to be published in their transaction."""
    news: list[StockLow | StockBack] = []
    for sku, before, after, low_at in changes:
        if before > low_at >= after:
            news.append(StockLow(sku=sku, available=after, low_at=low_at))
        elif before <= 0 < after:
            news.append(StockBack(sku=sku, available=after))
    return news
