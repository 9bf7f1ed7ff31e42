"""The events StockLow and StockBack. Only a change that crosses a SKU's threshold or reaches 0 publishes one."""

from collections.abc import Iterable
from typing import NamedTuple

from shop.events import StockBack, StockLow


class Change(NamedTuple):
    """A change of a SKU's available pieces, with the SKU's low-stock threshold `low_at`."""

    sku: str
    before: int
    after: int
    low_at: int


def find_news(changes: Iterable[Change]) -> list[StockLow | StockBack]:
    """Return the events that `changes` cause. The caller publishes them in the transaction of the changes."""
    news: list[StockLow | StockBack] = []
    for sku, before, after, low_at in changes:
        if before > low_at >= after or before > 0 >= after:
            news.append(StockLow(sku=sku, available=after, low_at=low_at))
        elif before <= 0 < after:
            news.append(StockBack(sku=sku, available=after))
    return news
