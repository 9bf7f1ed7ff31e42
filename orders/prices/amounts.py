"""The amounts of an order: catalogue prices including tax, minus a discount, plus shipping.

The shop computes all amounts. It compares the prices in a request with its own, but never uses them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings

from shop.catalogue.money import format_money
from shop.catalogue.prices import find_prices, recall_prices


class OrderRefused(Exception):
    """The order can't be placed as requested. `errors` maps fields to messages in the format of DRF's errors."""

    def __init__(self, errors: Mapping[Any, Any]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class UnknownProducts(OrderRefused):
    """Some lines have a SKU that the shop does not sell. `skus` maps the line's index to its SKU."""

    def __init__(self, skus: dict[int, str]) -> None:
        super().__init__({"lines": {index: {"sku": [f"There is no product {sku!r}."]} for index, sku in skus.items()}})
        self.skus = skus


class PriceChanged(OrderRefused):
    """A price differs from the price that the customer saw. `amounts` has the current amounts."""

    def __init__(self, amounts: "Amounts", errors: Mapping[Any, Any]) -> None:
        super().__init__(errors)
        self.amounts = amounts


@dataclass(frozen=True, slots=True)
class Line:
    """A product of an order at its current price, in minor units."""

    sku: str
    name: str
    unit_price: int
    most_per_customer: int | None
    quantity: int

    @property
    def line_total(self) -> int:
        return self.unit_price * self.quantity


@dataclass(frozen=True, slots=True)
class Amounts:
    """The amounts of an order in minor units. `total` is subtotal - discount + shipping and includes `tax`."""

    currency: str
    subtotal: int
    discount: int
    shipping: int
    tax: int
    total: int


#: The amounts of an order and the fields of a line, with their types, in the order of every API response.
AMOUNT_FIELDS: dict[str, Any] = {field.name: field.type for field in fields(Amounts)}
LINE_FIELDS: dict[str, Any] = {"sku": str, "name": str, "quantity": int, "unit_price": int, "line_total": int}


def price_lines(wanted: Sequence[Mapping[str, Any]], *, remembered: bool = False) -> list[Line]:
    """Return a priced line for each ``{"sku", "quantity"}`` of `wanted`. With `remembered`, use the process's cache.

    :raises UnknownProducts: a SKU is not in the catalogue or is no longer sold.
    """
    prices = (recall_prices if remembered else find_prices)([line["sku"] for line in wanted])
    unknown = {index: line["sku"] for index, line in enumerate(wanted) if line["sku"] not in prices}
    if unknown:
        raise UnknownProducts(unknown)
    return [Line(*prices[line["sku"]], quantity=line["quantity"]) for line in wanted]


def add_up(subtotal: int, country: str, discount: int = 0) -> Amounts:
    """Return the amounts of an order of goods for `subtotal`. `country`, an ISO 3166-1 code, decides the tax."""
    goods = subtotal - discount
    shipping = 0 if goods >= settings.SHIPPING_FREE_FROM else settings.SHIPPING_PRICE
    total = goods + shipping
    return Amounts(settings.SHOP_CURRENCY, subtotal, discount, shipping, find_tax(total, country), total)


def find_tax(gross: int, country: str) -> int:
    """Return the tax that is included in `gross` minor units in `country`, rounded half up."""
    rate = settings.TAX_RATES.get(country, 0)
    return int((gross * rate * 2 + 10_000 + rate) // (2 * (10_000 + rate)))


def check_expectation(amounts: Amounts, lines: Sequence[Line], expected: int | None, seen: Mapping[str, int]) -> None:
    """Compare the total with `expected`. If it is None, compare the price of each line with `seen`, by SKU.

    :raises PriceChanged: the total, or a price, differs from the value that the customer saw.
    """
    if expected is not None:
        if expected != amounts.total:
            now = format_money(amounts.total, amounts.currency)
            was = format_money(expected, amounts.currency)
            raise PriceChanged(amounts, {"expected_total": [f"The total is now {now}, not {was}."]})
        return
    changed: dict[Any, Any] = {
        index: {"unit_price": [describe_change(line, seen[line.sku], amounts.currency)]}
        for index, line in enumerate(lines)
        if seen.get(line.sku, line.unit_price) != line.unit_price
    }
    if changed:
        raise PriceChanged(amounts, {"lines": changed})


def describe_change(line: Line, was: int, currency: str) -> str:
    """Return the message for a line whose price was `was` minor units when the customer added it to the cart."""
    return f"{line.sku} now costs {format_money(line.unit_price, currency)}, not {format_money(was, currency)}."
