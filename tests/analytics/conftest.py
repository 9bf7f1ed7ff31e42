"""Builders of events that occur at a given time, and functions that give them to analytics and read its tables."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import connection, transaction

from analytics.facts.consumer import add_events
from analytics.generation import FIRST, TABLES
from relay import Event
from shop import events
from shop.events import OrderedLine

CONTACT = uuid.UUID(int=1)
REFERENCE = "01976f2e-0000-7000-8000-000000000004"


def placed(at: datetime, order_id: uuid.UUID, lines: dict[str, tuple[int, int]], **changes: Any) -> events.OrderPlaced:
    """Return an OrderPlaced. `lines` maps a SKU to a quantity and a price."""
    amounts: dict[str, Any] = {"currency": "EUR", "discount": 0, "shipping": 0, "tax": 0}
    amounts["total"] = sum(quantity * price for quantity, price in lines.values())
    buyer = {"channel": "web", "nth_order": 1, "first_order_month": f"{at:%Y-%m}", "first_this_month": True}
    return events.OrderPlaced(
        occurred_at=at,
        order_id=order_id,
        number="N1",
        contact_id=CONTACT,
        lines=[OrderedLine(sku=sku, quantity=quantity, unit_price=price) for sku, (quantity, price) in lines.items()],
        payment_reference=REFERENCE,
        **{**amounts, **buyer, **changes},
    )


def confirmed(at: datetime, order_id: uuid.UUID, units: int, total: int, currency: str = "EUR") -> Event:
    """Return an OrderConfirmed."""
    return events.OrderConfirmed(
        occurred_at=at,
        order_id=order_id,
        number="N1",
        contact_id=CONTACT,
        currency=currency,
        total=total,
        units=units,
    )


def cancelled(at: datetime, order_id: uuid.UUID, units: int, total: int, reason: str = "payment_declined") -> Event:
    """Return an OrderCancelled."""
    return events.OrderCancelled(
        occurred_at=at,
        order_id=order_id,
        number="N1",
        contact_id=CONTACT,
        currency="EUR",
        total=total,
        units=units,
        reason=reason,
    )


def paid(kind: type[Any], at: datetime, order_id: uuid.UUID, amount: int, **others: Any) -> Event:
    """Return a payment event of class `kind`."""
    event: Event = kind(occurred_at=at, order_id=order_id, amount=amount, currency="EUR", **others)
    return event


def add(*happened: Event, schema: str = FIRST.schema) -> None:
    """Give each of `happened` to analytics in its own transaction."""
    for event in happened:
        with transaction.atomic():
            add_events(schema, [event])


def read_table(name: str, columns: str, schema: str = FIRST.schema) -> list[tuple[Any, ...]]:
    """Return `columns` of all rows of the table `name`, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(f"select {columns} from {schema}.{TABLES[name]} t order by {columns}")  # noqa: S608 - test
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


Add = Callable[..., None]


@pytest.fixture
def order_id() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture(autouse=True)
def priority_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the priority of the tests' process: a rebuild lowers the one of its process for good."""
    monkeypatch.setattr("os.nice", lambda by: by)
