"""A fixture that creates order and activity events and lets analytics handle each in its own transaction."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

import pytest
from django.db import transaction

from analytics.handlers import count_activity, count_orders
from shop.events import CartChanged, OrderCancelled, OrderConfirmed, OrderedLine, OrderPlaced, ProductViewed

CONTACT = uuid.UUID(int=1)
E = TypeVar("E")


class Shop:
    """Creates an event that occurs at a given time, and lets analytics count it."""

    def place(self, at: datetime, quantities: list[int], total: int, currency: str = "EUR") -> OrderPlaced:
        event = OrderPlaced(
            occurred_at=at,
            order_id=uuid.uuid4(),
            number="N1",
            contact_id=CONTACT,
            currency=currency,
            discount=0,
            shipping=0,
            tax=0,
            total=total,
            lines=[OrderedLine(sku=f"S{n}", quantity=quantity, unit_price=1) for n, quantity in enumerate(quantities)],
            payment_reference="01976f2e-0000-7000-8000-000000000004",
        )
        return self._count(count_orders, event)

    def confirm(self, at: datetime, units: int, total: int, currency: str = "EUR") -> OrderConfirmed:
        event = OrderConfirmed(
            occurred_at=at,
            order_id=uuid.uuid4(),
            number="N1",
            contact_id=CONTACT,
            currency=currency,
            total=total,
            units=units,
        )
        return self._count(count_orders, event)

    def cancel(self, at: datetime, units: int, total: int) -> OrderCancelled:
        event = OrderCancelled(
            occurred_at=at,
            order_id=uuid.uuid4(),
            number="N1",
            contact_id=CONTACT,
            currency="EUR",
            total=total,
            units=units,
            reason="payment_declined",
        )
        return self._count(count_orders, event)

    def view(self, at: datetime) -> ProductViewed:
        return self._count(count_activity, ProductViewed(occurred_at=at, visitor=uuid.uuid4(), sku="S0"))

    def change_cart(self, at: datetime) -> CartChanged:
        return self._count(count_activity, CartChanged(occurred_at=at, visitor=uuid.uuid4(), sku="S0", quantity=1))

    def _count(self, handler: Callable[[Sequence[E]], None], event: E) -> E:
        with transaction.atomic():
            handler([event])
        return event


@pytest.fixture
def shop() -> Shop:
    return Shop()
