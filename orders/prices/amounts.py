"""What an order costs: catalogue prices, which contain the tax, less a discount, and shipping. All of it computed here.

What the client says about prices is compared, never taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings

from shop.catalogue.money import format_money
from shop.catalogue.prices import find_prices, recall_prices


class OrderRefused(Exception):
    """The order can't be placed as it was sent. `errors` says so field by field, in the shape of DRF's errors."""

    def __init__(self, errors: Mapping[Any, Any]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class UnknownProducts(OrderRefused):
    """Some lines name a SKU that is not sold here. `skus` maps the line's index to its SKU."""

    def __init__(self, skus: dict[int, str]) -> None:
        super().__init__({"lines": {index: {"sku": [f"There is no product {sku!r}."]} for index, sku in skus.items()}})
        self.skus = skus


class PriceChanged(OrderRefused):
    """The customer was shown other prices than today's. `amounts` are today's."""

    def __init__(self, amounts: "Amounts", errors: Mapping[Any, Any]) -> None:
        super().__init__(errors)
        self.amounts = amounts


@dataclass(frozen=True, slots=True)
class Line:
    """A product at today's price, in minor units."""

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
    """What the customer is shown before ordering, in minor units. `total` is subtotal - discount + shipping."""

    currency: str
    subtotal: int
    discount: int
    shipping: int
    tax: int
    total: int


#: The amounts of an order and the fields of a line, with their types, in the order that every answer has.
AMOUNT_FIELDS: dict[str, Any] = {field.name: field.type for field in fields(Amounts)}
LINE_FIELDS: dict[str, Any] = {"sku": str, "name": str, "quantity": int, "unit_price": int, "line_total": int}


def price_lines(wanted: Sequence[Mapping[str, Any]], *, remembered: bool = False) -> list[Line]:
    """Price ``{"sku", "quantity"}`` from the catalogue, or with what this process has last read there.

    :raises UnknownProducts: a SKU is not in the catalogue, or is not sold any more.
    """
    prices = (recall_prices if remembered else find_prices)([line["sku"] for line in wanted])
    unknown = {index: line["sku"] for index, line in enumerate(wanted) if line["sku"] not in prices}
    if unknown:
        raise UnknownProducts(unknown)
    return [Line(*prices[line["sku"]], quantity=line["quantity"]) for line in wanted]


def add_up(subtotal: int, country: str, discount: int = 0) -> Amounts:
    """Add shipping to goods for `subtotal` less `discount`, and tell the tax in it by `country` (ISO 3166-1)."""
    goods = subtotal - discount
    shipping = 0 if goods >= settings.SHIPPING_FREE_FROM else settings.SHIPPING_PRICE
    total = goods + shipping
    return Amounts(settings.SHOP_CURRENCY, subtotal, discount, shipping, find_tax(total, country), total)


def find_tax(gross: int, country: str) -> int:
    """Return the tax that `gross` minor units contain in `country`, half of a unit rounded up."""
    rate = settings.TAX_RATES.get(country, 0)
    return int((gross * rate * 2 + 10_000 + rate) // (2 * (10_000 + rate)))


def check_expectation(amounts: Amounts, lines: Sequence[Line], expected: int | None, seen: Mapping[str, int]) -> None:
    """Refuse what the customer has not been shown: another total, or without one another price than `seen` of a SKU.

    :raises PriceChanged: it is not what it was.
    """
    if expected is not None:
        if expected != amounts.total:
            now = format_money(amounts.total, amounts.currency)
            was = format_money(expected, amounts.currency)
            raise PriceChanged(amounts, {"expected_total": [f"The total is {now} now, not {was}."]})
        return
    changed: dict[Any, Any] = {
        index: {"unit_price": [describe_change(line, seen[line.sku], amounts.currency)]}
        for index, line in enumerate(lines)
        if seen.get(line.sku, line.unit_price) != line.unit_price
    }
    if changed:
        raise PriceChanged(amounts, {"lines": changed})


def describe_change(line: Line, was: int, currency: str) -> str:
    """Say what happened to the price of a line since it was put in the cart."""
    return f"{line.sku} costs {format_money(line.unit_price, currency)} now, not {format_money(was, currency)}."
