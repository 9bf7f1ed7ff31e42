"""A guest's cart: {sku: quantity} in the signed session cookie. Prices are read from the catalogue, never kept."""

from dataclasses import dataclass

from django.http import HttpRequest

from shop.activity import identify_visitor, record_activity
from shop.catalogue.models import Product
from shop.events import CartChanged

MOST_LINES = 50
LARGEST_QUANTITY = 999
_SESSION_KEY = "cart"


class CartFull(Exception):
    """The cart has MOST_LINES different products already."""


@dataclass(frozen=True)
class CartLine:
    """A product in the cart. Amounts are minor units of the product's currency."""

    product: Product
    quantity: int

    @property
    def line_total(self) -> int:
        return self.product.price * self.quantity


@dataclass(frozen=True)
class Cart:
    """What is in the cart now, at today's prices. `dropped` are SKUs that are no longer sold."""

    lines: list[CartLine]
    dropped: list[str]

    @property
    def total(self) -> int:
        return sum(line.line_total for line in self.lines)

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def currency(self) -> str:
        return self.lines[0].product.currency if self.lines else ""


def read_quantities(request: HttpRequest) -> dict[str, int]:
    """The session's cart, in the order in which things were put into it."""
    return dict(request.session.get(_SESSION_KEY, {}))


def load_cart(request: HttpRequest) -> Cart:
    """Price the session's cart from the catalogue. What is no longer sold leaves the session."""
    quantities = read_quantities(request)
    products = Product.objects.on_sale().in_bulk(quantities)
    dropped = [sku for sku in quantities if sku not in products]
    if dropped:
        request.session[_SESSION_KEY] = {sku: n for sku, n in quantities.items() if sku in products}
    return Cart([CartLine(products[sku], n) for sku, n in quantities.items() if sku in products], dropped)


def set_quantity(request: HttpRequest, sku: str, quantity: int) -> int:
    """Let the cart hold `quantity` of `sku`, at most LARGEST_QUANTITY; 0 or less removes it. Return what it holds.

    :raises CartFull: it would be one product too many.
    """
    quantities = read_quantities(request)
    before = quantities.get(sku, 0)
    after = min(max(quantity, 0), LARGEST_QUANTITY)
    if after and sku not in quantities and len(quantities) >= MOST_LINES:
        raise CartFull(f"a cart holds at most {MOST_LINES} different products")
    if after:
        quantities[sku] = after
    else:
        quantities.pop(sku, None)
    if after != before:
        request.session[_SESSION_KEY] = quantities
        record_activity(CartChanged(visitor=identify_visitor(request), sku=sku, quantity=after))
    return after


def empty_cart(request: HttpRequest) -> None:
    """Forget the cart, after it has become an order."""
    request.session.pop(_SESSION_KEY, None)
