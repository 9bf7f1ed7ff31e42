"""The vault of payment tokens: each token is stored with its order, taken once, and never published."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.db import DataError, transaction
from django.utils import timezone

from orders.checkout.placement import place_order
from relay.models import Outbox
from shop.celery import app
from shop.events import OrderPlaced
from shop.tasks import forget_payment_tokens
from shop.vault.models import PaymentToken
from shop.vault.tokens import SLACK_HOURS, take_tokens
from tests.orders.conftest import MakeBody, make_body, products  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db
TOKEN = "tok_ok_0123456789"


@pytest.fixture
def placed(products: None, make_body: MakeBody) -> OrderPlaced:  # noqa: F811
    """Return the event of a new order with TOKEN."""
    place_order(idempotency_key=str(uuid4()), request=make_body(payment_token=TOKEN))
    return OrderPlaced.decode(Outbox.objects.get().body)


def test_an_order_stores_its_token_and_publishes_the_reference_only(placed: OrderPlaced) -> None:
    row = Outbox.objects.get()
    assert row.type == "OrderPlaced.v4"
    assert TOKEN not in row.body
    assert list(PaymentToken.objects.values_list("token", flat=True)) == [TOKEN]
    assert take_tokens([placed.payment_reference]) == {placed.payment_reference: TOKEN}


def test_a_repeated_request_stores_no_second_token(products: None, make_body: MakeBody) -> None:  # noqa: F811
    key = str(uuid4())
    for _ in range(2):
        place_order(idempotency_key=key, request=make_body(payment_token=TOKEN))
    assert PaymentToken.objects.count() == 1


def test_a_token_is_taken_once(placed: OrderPlaced) -> None:
    take_tokens([placed.payment_reference])
    assert not PaymentToken.objects.exists()
    assert take_tokens([placed.payment_reference]) == {}


def test_a_rolled_back_transaction_takes_no_token(placed: OrderPlaced) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        take_tokens([placed.payment_reference])
        raise ZeroDivisionError
    assert PaymentToken.objects.count() == 1


@pytest.mark.parametrize("version", [1, 2])
def test_an_old_event_contains_its_own_token(version: int) -> None:
    value: dict[str, Any] = {
        **{"event_id": str(uuid4()), "occurred_at": "2026-11-22T12:00:00Z", "order_id": str(uuid4()), "number": "N1"},
        **{"contact_id": str(uuid4()), "currency": "EUR", "total": 100, "lines": [], "payment_token": TOKEN},
        **({"discount": 0, "shipping": 0, "tax": 0} if version == 2 else {}),
    }
    reference = OrderPlaced.decode(json.dumps(value), version=version).payment_reference
    assert take_tokens([reference]) == {reference: TOKEN}


def test_a_reference_that_is_no_uuid_is_an_error() -> None:
    with pytest.raises(DataError, match="made-up"), transaction.atomic():
        take_tokens(["made-up"])


def test_a_token_that_nobody_took_is_deleted_after_the_orders_deadline(placed: OrderPlaced, settings: Any) -> None:
    forget_payment_tokens()
    assert PaymentToken.objects.count() == 1
    hours = settings.ORDER_DEADLINE_HOURS + SLACK_HOURS
    PaymentToken.objects.update(created_at=timezone.now() - timedelta(hours=hours, seconds=1))
    forget_payment_tokens()
    assert not PaymentToken.objects.exists()
    assert "shop.tasks.forget_payment_tokens" in {entry["task"] for entry in app.conf.beat_schedule.values()}


def test_no_admin_page_shows_tokens(placed: OrderPlaced) -> None:
    assert PaymentToken not in admin.site._registry
    assert TOKEN not in str(PaymentToken.objects.get())
