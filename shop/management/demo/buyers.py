"""The buyers of the demo history: new ones, and ones that return. Numbers only; nobody has a name."""

from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

#: Share of orders by buyers who have ordered before.
RETURNING = 0.34
#: Buyers from before the history, for each of the `EARLIER_MONTHS` months before it.
EARLIER_BUYERS, EARLIER_MONTHS = 260, 5


@dataclass(slots=True)
class Buyer:
    """How often a buyer has ordered, and the months of the first and the last order."""

    orders: int
    first_month: str
    last_month: str


class Buyers:
    """All buyers. A recent buyer returns more often than an old one."""

    def __init__(self, begin: datetime, dice: Random) -> None:
        self._dice = dice
        self._known = [
            Buyer(dice.choice((1, 1, 1, 2, 3)), month, month)
            for back in range(EARLIER_MONTHS, 0, -1)
            for month in [name_month(begin, back)]
            for _ in range(EARLIER_BUYERS)
        ]

    def place(self, at: datetime) -> dict[str, Any]:
        """Return the fields of OrderPlaced about the buyer of an order at `at`."""
        month = f"{at:%Y-%m}"
        if self._dice.random() < RETURNING:
            buyer = self._known[int(len(self._known) * self._dice.random() ** 0.6)]
        else:
            buyer = Buyer(0, month, "")
            self._known.append(buyer)
        is_first = buyer.last_month < month
        buyer.orders, buyer.last_month = buyer.orders + 1, month
        return {"nth_order": buyer.orders, "first_order_month": buyer.first_month, "first_this_month": is_first}


def name_month(moment: datetime, back: int) -> str:
    """Return the month `back` months before `moment`, for example 2026-05."""
    months = moment.year * 12 + moment.month - 1 - back
    return f"{months // 12}-{months % 12 + 1:02}"
