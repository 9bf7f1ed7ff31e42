"""Fixtures that call inventory's handler with events of orders, in one transaction for each call."""

import uuid
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import transaction

from inventory.handlers import move_stock
from inventory.models import Stock
from relay.models import Outbox
from relay.publisher.topics import known_events
from shop.events import InventoryEvent, OrderCancelled, OrderConfirmed, OrderedLine, OrderPlaced, StockRejected

CONTACT = uuid.UUID(int=1)


def make_placed(order_id: UUID, lines: list[tuple[str, int]]) -> OrderPlaced:
    """Return the event of an order with (sku, quantity) `lines`."""
    return OrderPlaced(
        order_id=order_id,
        number="N1",
        contact_id=CONTACT,
        currency="EUR",
        discount=0,
        shipping=0,
        tax=0,
        total=100,
        lines=[OrderedLine(sku=sku, quantity=quantity, unit_price=100) for sku, quantity in lines],
        payment_reference="01976f2e-0000-7000-8000-000000000004",
        channel="web",
        nth_order=1,
        first_order_month="2026-05",
        first_this_month=True,
    )


def make_confirmed(order_id: UUID) -> OrderConfirmed:
    return OrderConfirmed(order_id=order_id, number="N1", contact_id=CONTACT, currency="EUR", total=100, units=1)


class Orders:
    """Calls inventory's handler and reads the events that it published."""

    def place(self, *lines: tuple[str, int], order_id: UUID | None = None) -> UUID:
        """Place an order of (sku, quantity) lines and return its id."""
        return self.place_together(list(lines), order_ids=[order_id or uuid.uuid4()])[0]

    def place_together(self, *orders: list[tuple[str, int]], order_ids: list[UUID] | None = None) -> list[UUID]:
        """Place several orders of (sku, quantity) lines in one call of the handler. Return their ids."""
        events = [
            make_placed(order_id, lines)
            for order_id, lines in zip(order_ids or [uuid.uuid4() for _ in orders], orders, strict=True)
        ]
        with transaction.atomic():
            move_stock(events)
        return [event.order_id for event in events]

    def confirm(self, order_id: UUID) -> OrderConfirmed:
        event = make_confirmed(order_id)
        with transaction.atomic():
            move_stock([event])
        return event

    def cancel(self, order_id: UUID) -> OrderCancelled:
        event = OrderCancelled(
            order_id=order_id, number="N1", contact_id=CONTACT, currency="EUR", total=100, units=1, reason="because"
        )
        with transaction.atomic():
            move_stock([event])
        return event

    def answers(self, order_id: UUID) -> list[InventoryEvent]:
        """Return the events that inventory published for the order, in sequence."""
        rows = Outbox.objects.filter(topic="shop.inventory", key=str(order_id)).order_by("sequence")
        decoded = [known_events()[row.type].decode(row.body) for row in rows]
        return [event for event in decoded if isinstance(event, InventoryEvent)]

    def shortages(self, order_id: UUID) -> list[tuple[str, int, int]]:
        """Return (sku, requested, available) of each shortage of an order whose only answer is StockRejected."""
        (answer,) = self.answers(order_id)
        assert isinstance(answer, StockRejected)
        return [(shortage.sku, shortage.requested, shortage.available) for shortage in answer.shortages]


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.fixture
def numbers() -> Callable[[str], tuple[int, int]]:
    """Return a function that reads (on_hand, reserved) of a SKU."""

    def read(sku: str) -> tuple[int, int]:
        stock = Stock.objects.get(sku=sku)
        return stock.on_hand, stock.reserved

    return read
