"""OrderPlaced says which order of its buyer it is, and nothing that leads to the buyer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from analytics.handlers import consumer
from analytics.models import OrderFact
from orders.checkout.placement import place_order
from orders.models import Buyer
from relay.models import Outbox
from relay.testing import deliver, published
from shop.contacts.models import Contact
from shop.events import CheckoutCompleted, CheckoutStarted, OrderPlaced
from tests.catalogue.conftest import ADDRESS, read_key
from tests.orders.conftest import MakeBody

pytestmark = pytest.mark.usefixtures("products")


def place(make_body: MakeBody, email: str, **others: Any) -> None:
    place_order(idempotency_key=str(uuid4()), request=make_body(email=email), **others)


def list_counts() -> list[tuple[Any, ...]]:
    return [(e.nth_order, e.first_order_month, e.first_this_month) for e in published(OrderPlaced)]


@pytest.fixture
def months() -> Iterator[list[datetime]]:
    yield [datetime(2026, 1, 31, 23, 30, tzinfo=UTC), datetime(2026, 2, 1, 0, 30, tzinfo=UTC)]


@pytest.mark.django_db
def test_the_orders_of_a_buyer_are_numbered_and_months_begin_again(make_body: MakeBody, months: list[datetime]) -> None:
    customer = User.objects.create(username="customer@example.org")
    for month in months:
        with time_machine.travel(month, tick=False):
            place(make_body, "ada@example.org")
            place(make_body, " ADA@example.org")
    place(make_body, "ada@example.org", caller=customer)  # a customer is another buyer than a guest
    assert list_counts()[:4] == [
        (1, "2026-01", True),
        (2, "2026-01", False),
        (3, "2026-01", True),
        (4, "2026-01", False),
    ]
    assert list_counts()[4][0::2] == (1, True)
    counted = set(Buyer.objects.values_list("key", "orders", "first_month", "last_month", "month_orders"))
    Buyer.objects.all().delete()
    migration = import_module("orders.migrations.0010_buyers")
    with connection.schema_editor(atomic=False) as editor:
        editor.execute(migration.COUNT_CUSTOMERS)
        migration.count_guests(apps, editor)
    assert set(Buyer.objects.values_list("key", "orders", "first_month", "last_month", "month_orders")) == counted


@pytest.mark.django_db
def test_a_guest_keeps_the_number_during_a_rotation_of_the_key(make_body: MakeBody, settings: Any) -> None:
    place(make_body, "ada@example.org")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "x" * 60, [settings.SECRET_KEY]
    place(make_body, "ada@example.org")
    place(make_body, "ada@example.org")
    assert [number for number, _, _ in list_counts()] == [1, 2, 3]


@pytest.mark.django_db
def test_a_repeated_or_refused_order_is_not_counted(make_body: MakeBody) -> None:
    for _ in range(3):
        place_order(idempotency_key="k-1", request=make_body())
    assert list_counts()[0][0] == Buyer.objects.get().orders == 1


@pytest.mark.django_db(transaction=True)
def test_orders_of_one_buyer_at_the_same_moment_get_different_numbers(make_body: MakeBody) -> None:
    def order(_: int) -> None:
        try:
            place(make_body, "ada@example.org")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(order, range(12)))
    assert sorted(number for number, _, _ in list_counts()) == list(range(1, 13))


@pytest.mark.django_db
def test_nothing_leads_back_after_the_contact_is_erased(make_body: MakeBody) -> None:
    place(make_body, "ada@example.org")
    deliver(consumer)
    contact = Contact.objects.get()
    (key,) = Buyer.objects.values_list("key", flat=True)
    texts = [*Outbox.objects.values_list("body", flat=True), str(vars(OrderFact.objects.get()))]
    assert not any("ada@" in text or key in text for text in texts)
    assert not any(str(contact.pk) in text for text in texts[1:])
    Contact.objects.all().delete()
    assert not Buyer.objects.exists()
    place(make_body, "ada@example.org")
    assert list_counts()[1][0] == 1


@pytest.mark.django_db
def test_a_visit_is_linked_with_its_order_by_activity_only(client: Client) -> None:
    client.post("/cart/add/", {"sku": "LAMP", "quantity": "2"})
    client.head("/checkout/")
    key = read_key(client.get("/checkout/"))
    for _ in range(2):  # a repeated form places no second order
        assert client.post("/checkout/", {**ADDRESS, "idempotency_key": key}).status_code == 302
    (started,), (completed,), (order,) = (
        published(CheckoutStarted),
        published(CheckoutCompleted),
        published(OrderPlaced),
    )
    assert (started.units, started.total, started.currency) == (2, order.total, "EUR")
    assert (completed.visitor, completed.order_id) == (started.visitor, order.order_id)
    assert order.channel == "web"
    assert str(started.visitor) not in Outbox.objects.get(topic="shop.orders").body
