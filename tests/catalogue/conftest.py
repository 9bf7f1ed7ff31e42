"""A small catalogue of two categories, and a visitor with a cart."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from shop.catalogue.models import Category, Product

ADDRESS = {
    "email": "kari@example.org",
    "phone": "",
    "name": "Kari Nordmann",
    "line1": "Strandgata 12",
    "line2": "",
    "postal_code": "5003",
    "city": "Bergen",
    "country": "NO",
    "payment_token": "tok_ok",
}
FillShelf = Callable[..., list[Product]]


@pytest.fixture
def mug(db: None) -> Product:
    return make_product("MUG", "Enamel Mug", 1400, "Kitchen", "Steel and enamel, for coffee outdoors.")


@pytest.fixture
def tent(db: None) -> Product:
    return make_product("TENT", "Tunnel Tent", 38900, "Shelter", "Sleeps two, even in wind.")


def make_product(sku: str, name: str, price: int, shelf: str, description: str = "", **others: Any) -> Product:
    """Create a product, and its category `shelf` if it does not exist."""
    category, _ = Category.objects.get_or_create(slug=shelf.lower(), defaults={"name": shelf})
    return Product.objects.create(sku=sku, name=name, price=price, category=category, description=description, **others)


@pytest.fixture
def fill_shelf(db: None) -> FillShelf:
    """Return a function that creates `count` numbered products in a category."""

    def fill(count: int, shelf: str = "Kitchen") -> list[Product]:
        return [make_product(f"{shelf.upper()}-{n:03}", f"{shelf} thing {n:03}", 100 + n, shelf) for n in range(count)]

    return fill


@pytest.fixture
def cart(client: Client, mug: Product, tent: Product) -> Client:
    """A visitor with two mugs and a tent in the cart."""
    for sku, quantity in (("MUG", 2), ("TENT", 1)):
        client.post("/cart/add/", {"sku": sku, "quantity": quantity})
    return client


def read_key(page: Any) -> str:
    """Return the idempotency key in the hidden field of a checkout's form."""
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page.content.decode())
    assert found, "the form has no key"
    return found[1]
