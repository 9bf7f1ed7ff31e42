"""The settlement of a payment from OrderPlaced to its final state, with one worker at a time."""

import json
import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from payments.handlers import PaymentNotAuthorized, follow_orders
from payments.models import Attempt, Payment
from payments.sandbox import scripts
from payments.tasks import settle_payments
from relay.models import Outbox

pytestmark = pytest.mark.django_db


def test_a_placed_order_is_authorized(place: Any, books: Any, said: Any) -> None:
    payment = place(amount=4999)
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, payment.claimed_until) == ("authorized", "nothing", None)
    assert books() == [("authorize", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]
    body = json.loads(Outbox.objects.get(type="PaymentAuthorized.v1").body)
    assert (body["amount"], body["currency"], body["order_id"]) == (4999, "EUR", str(payment.order_id))


def test_a_confirmed_order_is_captured_once(place: Any, books: Any, said: Any, confirmed: Any) -> None:
    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "captured"
    assert books() == [("authorize", "approved", 4999), ("capture", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentCaptured.v1"]


@pytest.mark.parametrize(("token", "reason"), [("tok_declined", "card declined"), ("tok_stolen", "no such token")])
def test_a_declined_payment_says_why(place: Any, books: Any, said: Any, token: str, reason: str) -> None:
    payment = place(token)
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, payment.reason) == ("declined", "nothing", reason)
    assert books() == [("authorize", "declined", 4999)]
    assert said(payment.order_id) == ["PaymentDeclined.v1"]
    assert json.loads(Outbox.objects.get(type="PaymentDeclined.v1").body)["reason"] == reason


def test_a_slow_card_is_authorized_after_its_pause(place: Any, books: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "SLOW_SECONDS", 0.3)
    payment = place("tok_slow")
    started = time.monotonic()
    settle_payments()
    assert time.monotonic() - started >= 0.3
    payment.refresh_from_db()
    assert payment.status == "authorized"


@pytest.mark.parametrize("token", ["tok_ok", "tok_declined"])
def test_the_token_is_deleted_after_the_gateways_answer(place: Any, token: str) -> None:
    payment = place(token)
    assert payment.payment_token == token
    settle_payments()
    payment.refresh_from_db()
    assert payment.payment_token == ""


def test_a_cancelled_order_gets_its_money_back(place: Any, books: Any, said: Any, cancelled: Any) -> None:
    payment = place()
    settle_payments()
    follow_orders([cancelled(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "voided"
    assert books() == [("authorize", "approved", 4999), ("void", "approved", 4999)]
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentVoided.v1"]
    assert json.loads(Outbox.objects.get(type="PaymentVoided.v1").body)["amount"] == 4999


def test_an_order_cancelled_before_the_first_call_is_never_charged(
    place: Any, books: Any, said: Any, cancelled: Any
) -> None:
    payment = place()
    follow_orders([cancelled(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, payment.payment_token) == ("voided", "nothing", "")
    settle_payments()
    assert books() == []
    assert said(payment.order_id) == ["PaymentVoided.v1"]
    assert json.loads(Outbox.objects.get(type="PaymentVoided.v1").body)["amount"] == 0


def test_a_declined_payment_has_nothing_to_give_back(place: Any, books: Any, cancelled: Any) -> None:
    payment = place("tok_declined")
    settle_payments()
    follow_orders([cancelled(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("declined", "nothing")
    assert books() == [("authorize", "declined", 4999)]


def test_an_order_confirmed_without_an_authorization_is_refused_by_name(place: Any, confirmed: Any) -> None:
    payment = place()
    with pytest.raises(PaymentNotAuthorized, match=f"payment {payment.pk} is pending and wants authorize"):
        follow_orders([confirmed(payment)])


def test_an_attempt_is_stored_with_its_key_and_its_outcome(place: Any, confirmed: Any) -> None:
    payment = place()
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    attempts = Attempt.objects.filter(payment=payment, finished_at__isnull=False)
    assert list(attempts.values_list("idempotency_key", "calls", "outcome")) == [
        (f"{payment.pk}:authorize", 1, "approved"),
        (f"{payment.pk}:capture", 1, "approved"),
    ]


def test_a_transaction_with_many_payments_rings_once(
    place: Any, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        place()
        place()
    assert rung == ["settle_payments"]


def test_a_batch_gives_each_payment_its_own_answer(place: Any, books: Any, said: Any, confirmed: Any) -> None:
    good, bad, other = place(amount=100), place("tok_declined", amount=200), place(amount=300)
    settle_payments()
    follow_orders([confirmed(payment) for payment in (good, other)])
    settle_payments()
    assert sorted(books()) == [
        ("authorize", "approved", 100),
        ("authorize", "approved", 300),
        ("authorize", "declined", 200),
        ("capture", "approved", 100),
        ("capture", "approved", 300),
    ]
    assert said(bad.order_id) == ["PaymentDeclined.v1"]
    for payment in (good, other):
        assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentCaptured.v1"]


def test_an_order_without_a_payment_is_refused_by_name(place: Any, confirmed: Any) -> None:
    known, unknown = confirmed(place()), confirmed(Payment(order_id=uuid4(), amount=1, currency="EUR"))
    settle_payments()
    with pytest.raises(Payment.DoesNotExist, match=f"no payment for order {unknown.order_id}"):
        follow_orders([known, unknown])
