"""Today's prices, for the checkout."""

from collections.abc import Iterable
from typing import NamedTuple

from relay.arrays import to_array
from shop.statements import run_prepared


class Price(NamedTuple):
    """What one of a product costs, in minor units, and how many one customer may have; None: any number."""

    sku: str
    name: str
    unit_price: int
    most_per_customer: int | None


def find_prices(skus: Iterable[str]) -> dict[str, Price]:
    """Return the prices of those of `skus` that are sold, by SKU."""
    rows = run_prepared(
        "select sku, name, price, most_per_customer from catalogue_product"
        " where sku = any(%(skus)s::text[]) and is_active",
        {"skus": to_array(skus)},
    )
    return {row[0]: Price(*row) for row in rows}
