"""Payments takes the token out of the vault, keeps it for repeated calls, and deletes it after the answer."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from payments.handlers import TOKEN_EXPIRED, consumer, follow_orders
from payments.models import Payment
from payments.settlement.calls import settle_due_payments
from payments.settlement.claims import claim_calls
from payments.tasks import settle_payments
from relay.models import Outbox, Stream
from relay.publisher.outbox import hash_key
from relay.testing.delivery import make_delivery
from shop.vault.models import PaymentToken

pytestmark = pytest.mark.django_db
TOKEN = "tok_ok_0123456789"


def find_token(token: str) -> set[str]:
    """Return the tables of the shop that contain `token`."""
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"select count(*) from {table} t where t::text like %s", [f"%{token}%"])  # noqa: S608
            if cursor.fetchone()[0]:
                found.add(table)
    return found


def test_payments_takes_the_token_and_deletes_it_after_the_answer(place: Any) -> None:
    payment = place(TOKEN)
    assert find_token(TOKEN) == {"payments_payment"}
    assert not PaymentToken.objects.exists()
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"
    assert find_token(TOKEN) == set()


def test_the_token_of_a_cancelled_order_is_deleted(place: Any, cancelled: Any) -> None:
    follow_orders([cancelled(place(TOKEN))])
    assert find_token(TOKEN) == set()


def test_a_worker_that_dies_during_the_call_leaves_the_token_for_the_next_one(place: Any, books: Any) -> None:
    payment = place(TOKEN)
    claim_calls(1)  # the worker dies after its claim
    for _step in ("lookup", "call"):
        Payment.objects.update(claimed_until=None, due_at=payment.created_at)
        settle_due_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"
    assert books() == [("authorize", "approved", 4999)]
    assert find_token(TOKEN) == set()


@pytest.mark.parametrize("version", [1, 2])
def test_an_event_of_an_old_version_is_paid_with_its_own_token(books: Any, version: int) -> None:
    order_id = uuid4()
    value: dict[str, Any] = {
        **{"event_id": str(uuid4()), "occurred_at": "2026-11-22T12:00:00Z", "order_id": str(order_id), "number": "N1"},
        **{"contact_id": str(uuid4()), "currency": "EUR", "total": 4999, "payment_token": TOKEN},
        "lines": [{"sku": "LAMP", "quantity": 1, "unit_price": 4999}],
        **({"discount": 0, "shipping": 0, "tax": 0} if version == 2 else {}),
    }
    Stream.objects.create(topic="shop.orders", key=str(order_id), last=1)
    row = Outbox.objects.create(
        **{"topic": "shop.orders", "key": str(order_id), "key_hash": hash_key(str(order_id)), "sequence": 1},
        **{"event_id": value["event_id"], "type": f"OrderPlaced.v{version}", "body": json.dumps(value)},
        occurred_at=value["occurred_at"],
    )
    row.refresh_from_db()
    consumer.process([make_delivery(row)])
    row.delete()
    settle_payments()
    assert Payment.objects.get(order_id=order_id).status == "authorized"
    assert find_token(TOKEN) == set()


def test_a_payment_whose_token_has_expired_is_declined_with_this_reason(
    place: Any, books: Any, said: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(PaymentToken.objects, "create", lambda **_: None)
    payment = place(TOKEN)
    settle_payments()
    assert (payment.status, payment.wanted, payment.reason) == ("declined", "nothing", TOKEN_EXPIRED)
    assert books() == []
    assert said(payment.order_id) == ["PaymentDeclined.v1"]
    assert json.loads(Outbox.objects.get(type="PaymentDeclined.v1").body)["reason"] == TOKEN_EXPIRED
