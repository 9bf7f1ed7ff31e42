"""Fixtures: a small catalogue, the body of an order, and a client that places the order."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from orders.checkout.placement import place_order
from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import advance_order
from orders.models import IdempotencyKey, Order, Promotion
from relay import Event
from relay.models import Outbox
from relay.publisher.topics import known_events
from shop.catalogue.models import Category, Product
from shop.contacts.models import Contact

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James Square",
    "line2": "Flat 3",
    "postal_code": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}
MakeBody = Callable[..., dict[str, Any]]
PlaceOrder = Callable[..., Order]


class Api:
    """A client of the orders API, without a browser's cookies."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def post(self, body: Any, key: str | None = None, **headers: str) -> Any:
        """POST an order. Send a `body` of bytes unchanged, any other as JSON."""
        headers = {"Idempotency-Key": str(uuid4()) if key is None else key, **headers}
        return self._client.post("/api/v1/orders/", body, content_type="application/json", headers=headers)

    def get(self, order_id: object, token: str | None) -> Any:
        """GET an order."""
        headers = {} if token is None else {"X-Order-Token": token}
        return self._client.get(f"/api/v1/orders/{order_id}/", headers=headers)


@pytest.fixture
def api(client: Client) -> Api:
    client.raise_request_exception = False
    return Api(client)


@pytest.fixture
def products(db: None) -> None:
    """A lamp for 49.90, a mug for 12.50, and a chair that is no longer sold."""
    category = Category.objects.create(slug="home", name="Home")
    for sku, name, price, is_active in [
        ("LAMP", "Lamp", 4990, True),
        ("MUG", "Mug", 1250, True),
        ("CHAIR", "Chair", 9900, False),
    ]:
        Product.objects.create(sku=sku, name=name, price=price, category=category, is_active=is_active)


@pytest.fixture
def make_body() -> MakeBody:
    """Return a function that builds the body of an order for a lamp and three mugs. Its arguments replace fields."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "email": "ada@example.org",
            "phone": "+44 20 7946 0018",
            "shipping_address": ADDRESS,
            "lines": [{"sku": "LAMP", "quantity": 1}, {"sku": "MUG", "quantity": 3}],
            "payment_token": "tok_ok",
            **changes,
        }

    return make


@pytest.fixture
def place(products: None, make_body: MakeBody) -> PlaceOrder:
    """Return a function that places an order and applies happenings to it."""

    def place_and_advance(*happenings: Happening) -> Order:
        placement = place_order(idempotency_key=str(uuid4()), request=make_body())
        for happening in happenings:
            with transaction.atomic():
                advance_order(UUID(placement.answer["id"]), happening, uuid4() if happening.name in ANSWERS else None)
        return Order.objects.get(pk=placement.answer["id"])

    return place_and_advance


def make_promotion(code: str, uses: int, kind: str = "percent", value: int = 10, **changes: Any) -> Promotion:
    """Create a promotion code that is valid for one more hour."""
    now = timezone.now()
    times = {"begins_at": now - timedelta(hours=1), "ends_at": now + timedelta(hours=1)}
    return Promotion.objects.create(code=code, kind=kind, value=value, uses=uses, **{**times, **changes})


ANSWERS = {happening.name for happening in Happening if happening.name.startswith(("STOCK_", "PAYMENT_"))}
CONFIRMED = (Happening.STOCK_RESERVED, Happening.PAYMENT_AUTHORIZED)
PAID = (*CONFIRMED, Happening.PAYMENT_CAPTURED)


def read_events(order: Order) -> list[Event]:
    """Return the events that orders published for the order, in sequence."""
    rows = Outbox.objects.filter(topic="shop.orders", key=str(order.pk)).order_by("sequence")
    return [known_events()[row.type].decode(row.body) for row in rows]


def name_events(order: Order) -> list[str]:
    """Return the class names of the events that orders published for the order, in sequence."""
    return [type(event).__name__ for event in read_events(order)]


def count_everything() -> dict[str, int]:
    """Return the number of rows of each table that an order writes to."""
    return {model.__name__: model.objects.count() for model in (Order, IdempotencyKey, Contact, Outbox)}


NOTHING = {"Order": 0, "IdempotencyKey": 0, "Contact": 0, "Outbox": 0}
