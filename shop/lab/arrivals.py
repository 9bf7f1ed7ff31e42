"""The stream of orders that every shop of a run receives: the same orders at the same times.

Arrivals are a Poisson process. A seed decides times, products and quantities, so a run can be repeated exactly.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

#: Products of the lab, with prices in minor units. Their stock is large, so no scenario but the flash sale sells out.
PRODUCTS = {f"LAB-{name}": price for name, price in [
    ("MUG", 1400), ("LAMP", 4900), ("BLANKET", 8900), ("KNIFE", 6400), ("POT", 5200), ("TARP", 8900), ("SOCKS", 1900),
    ("STOVE", 11900),
]}  # fmt: skip
SHIPPING, FREE_FROM = 490, 5000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One order. `due` is in real seconds since the start; `total` includes shipping, in minor units."""

    number: int
    due: float
    lines: tuple[tuple[str, int], ...]
    total: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Orders during `seconds` real seconds. The rate grows evenly from `rate` to `last_rate`, per real second."""

    seed: int
    rate: float
    seconds: float
    last_rate: float = 0.0
    product: str = ""  # the only product, or "" for all products of the lab
    price: int = 0
    most: int = 40_000

    def __iter__(self) -> Iterator[Arrival]:
        """Yield the orders in the order of their times: at most `most`."""
        chance = random.Random(self.seed)
        top = max(self.rate, self.last_rate)
        due, number = 0.0, 0
        while number < self.most:
            due += chance.expovariate(top)
            if due >= self.seconds:
                return
            # Thinning: a process with the highest rate keeps each arrival with the chance rate(due) / highest rate.
            if chance.random() * top < self.find_rate(due):
                yield self._make(number, due, chance)
                number += 1

    def find_rate(self, due: float) -> float:
        """Return the rate at the second `due`."""
        if not self.last_rate:
            return self.rate
        return self.rate + (self.last_rate - self.rate) * due / self.seconds

    def _make(self, number: int, due: float, chance: random.Random) -> Arrival:
        if self.product:
            lines: tuple[tuple[str, int], ...] = ((self.product, 1),)
            goods = self.price
        else:
            skus = chance.sample(sorted(PRODUCTS), chance.randint(1, 3))
            lines = tuple((sku, chance.randint(1, 2)) for sku in skus)
            goods = sum(PRODUCTS[sku] * quantity for sku, quantity in lines)
        return Arrival(number, due, lines, goods + (SHIPPING if goods < FREE_FROM else 0))
