"""Each status of a PaymentIntent has one meaning for an authorization and for a capture; others wait for staff."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from payments.gateways.stripe import StripeGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Payment
from payments.reconciliation.cases import reconcile
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire

pytestmark = pytest.mark.django_db
gateway = StripeGateway()


def settle_again() -> None:
    let_claims_expire()
    settle_payments()


@pytest.fixture
def lost(stub: Any, place: Any) -> Payment:
    """Return a payment whose authorization reached Stripe, but whose answer was lost."""
    stub.disturb = staticmethod(lambda number: 500 if number == 1 else None)
    payment: Payment = place("pm_card_visa", amount=500)
    settle_payments()
    assert len(stub.made) == 1
    return payment


@pytest.mark.parametrize(
    ("status", "found", "reason"),
    [
        ("requires_payment_method", "declined", "requires_payment_method"),
        ("requires_confirmation", "declined", "requires_confirmation"),
        ("requires_action", "declined", "requires_action"),
        ("processing", "pending", ""),
        ("requires_capture", "authorized", ""),
        ("canceled", "declined", "cancelled at Stripe: abandoned"),
        ("succeeded", "authorized", ""),
    ],
)
def test_each_status_decides_about_an_authorization(
    stub: Any, lost: Payment, said: Any, status: str, found: str, reason: str
) -> None:
    next(iter(stub.made.values())).update(status=status, cancellation_reason="abandoned")
    settle_again()
    lost.refresh_from_db()
    assert (lost.status, lost.reason) == (found, reason)
    events = {"declined": ["PaymentDeclined.v1"], "authorized": ["PaymentAuthorized.v1"], "pending": []}
    assert said(lost.order_id) == events[found]
    assert len(stub.made) == 1


def test_a_pending_authorization_is_looked_up_until_stripe_decides(stub: Any, lost: Payment) -> None:
    for status, expected in (("processing", "pending"), ("processing", "pending"), ("requires_capture", "authorized")):
        next(iter(stub.made.values()))["status"] = status
        settle_again()
        lost.refresh_from_db()
        assert lost.status == expected
    assert [method for method, _, _ in stub.asked].count("POST") == 1


def test_an_unknown_status_is_an_error_and_a_case_for_staff(stub: Any, lost: Payment) -> None:
    next(iter(stub.made.values()))["status"] = "requires_magic"
    settle_again()
    lost.refresh_from_db()
    assert (lost.status, lost.wanted) == ("pending", "authorize")
    why = "MalformedAnswer: Stripe's intent pi_0 has the unknown status 'requires_magic': look at it there"
    assert Attempt.objects.get().outcome == why
    Attempt.objects.update(started_at=Now() - timedelta(minutes=16))
    [stuck] = [case for case in reconcile().open if case.kind == "stuck"]
    assert stuck.description.endswith(why)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("succeeded", ("captured", "nothing")),
        ("processing", ("authorized", "capture")),
        ("requires_capture", ("authorized", "capture")),
        ("requires_action", ("authorized", "capture")),
    ],
)
def test_each_status_decides_about_an_accepted_capture(
    stub: Any, place: Any, confirmed: Any, monkeypatch: pytest.MonkeyPatch, status: str, found: tuple[str, str]
) -> None:
    payment = place("pm_card_visa", amount=500)
    settle_payments()
    follow_orders([confirmed(payment)])
    stub.captured_is = status
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == found
    attempt = Attempt.objects.get(operation="capture")
    assert status in attempt.outcome or attempt.outcome == "approved"


def test_an_intent_that_was_cancelled_at_stripe_fails_the_capture(
    stub: Any, place: Any, confirmed: Any, said: Any
) -> None:
    payment = place("pm_card_visa", amount=500)
    settle_payments()
    follow_orders([confirmed(payment)])
    stub.captured_is = "canceled"
    for _ in range(3):
        settle_again()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("failed", "nothing")
    assert payment.reason == "declined: cancelled at Stripe: no reason given"
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentFailed.v1"]
    assert [case.kind for case in reconcile().open] == ["capture_failed"]
    settle_again()
    assert [path for method, path, _ in stub.asked if path.endswith("/capture")] == ["/v1/payment_intents/pi_0/capture"]


def test_a_declined_payment_agrees_with_an_intent_that_stripe_has_ended(stub: Any, lost: Payment) -> None:
    next(iter(stub.made.values()))["status"] = "canceled"
    settle_again()
    assert reconcile().open == []
