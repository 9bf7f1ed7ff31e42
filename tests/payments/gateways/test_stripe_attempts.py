"""A stored error of Stripe gets a new attempt with a new key, and a cancelled order is never authorized."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from payments.handlers import follow_orders
from payments.models import Attempt, Payment
from payments.reconciliation.cases import reconcile
from payments.settlement.claims import claim_calls
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire

pytestmark = pytest.mark.django_db


def settle_again(times: int = 1) -> None:
    for _ in range(times):
        let_claims_expire()
        settle_payments()


def list_sent(stub: Any) -> list[str]:
    """Return the idempotency keys of all requests to create an intent, without the payment's id."""
    return [
        key.partition(":")[2] for method, path, key in stub.asked if (method, path) == ("POST", "/v1/payment_intents")
    ]


def let_requests_arrive() -> None:
    """Move the last requests into the past, so that no request can still be on its way."""
    Attempt.objects.exclude(sent_at=None).update(sent_at=Now() - timedelta(seconds=61))


@pytest.fixture
def refused(stub: Any, place: Any) -> Payment:
    """Return a payment for whose first key Stripe repeats a stored 500."""
    payment: Payment = place("pm_card_visa", amount=500)
    stub.refuses[f"{payment.pk}:authorize"] = 500
    return payment


def test_a_repeated_error_gets_a_new_key_after_three_lookups_in_vain(stub: Any, refused: Payment, said: Any) -> None:
    settle_again(5)
    refused.refresh_from_db()
    assert refused.status == "authorized"
    assert list_sent(stub) == ["authorize", "authorize", "authorize", "authorize~2"]
    assert [method for method, _, _ in stub.asked] == ["POST", "GET"] * 3 + ["POST"]
    assert said(refused.order_id) == ["PaymentAuthorized.v1"]
    assert reconcile().open == []


def test_the_second_attempt_needs_twice_as_many_errors(stub: Any, refused: Payment) -> None:
    stub.refuses[f"{refused.pk}:authorize~2"] = 500
    settle_again(11)
    assert list_sent(stub) == ["authorize"] * 3 + ["authorize~2"] * 6 + ["authorize~3"]


def test_errors_that_differ_keep_the_key(stub: Any, refused: Payment) -> None:
    for status in (500, 502, 500, 502, 500):
        stub.refuses[f"{refused.pk}:authorize"] = status
        settle_again()
    assert set(list_sent(stub)) == {"authorize"}


def test_a_late_result_of_the_first_key_is_found_under_the_second(stub: Any, refused: Payment) -> None:
    settle_again(3)
    key = f"{refused.pk}:authorize"
    assert Attempt.objects.get(idempotency_key=key).is_closed
    del stub.refuses[key]
    intent = {"id": "pi_late", "object": "payment_intent", "status": "requires_capture", "amount": 500}
    stub.made[key] = {**intent, "currency": "eur", "created": stub.now(), "metadata": {"key": key}}
    settle_again()
    refused.refresh_from_db()
    assert (refused.status, refused.gateway_reference) == ("authorized", "pi_late")
    assert "authorize~2" not in list_sent(stub)


def test_a_cancelled_order_is_not_authorized_after_stripe_forgot_the_key(
    stub: Any, refused: Payment, said: Any, cancelled: Any
) -> None:
    settle_again()
    follow_orders([cancelled(refused)])
    stub.refuses.clear()  # a day later Stripe would carry out the call
    settle_again(3)
    refused.refresh_from_db()
    assert (refused.status, refused.wanted) == ("pending", "void"), "the last request may still be on its way"
    let_requests_arrive()
    settle_again()
    refused.refresh_from_db()
    assert (refused.status, refused.wanted, refused.payment_token) == ("voided", "nothing", "")
    assert (list_sent(stub), stub.made) == (["authorize"], {})
    assert said(refused.order_id) == ["PaymentVoided.v1"]
    assert reconcile().open == []


def test_a_cancellation_between_lookup_and_call_prevents_the_call(stub: Any, refused: Payment, cancelled: Any) -> None:
    settle_again()
    Attempt.objects.update(is_absent=True)  # the lookup has found nothing, the next step sends
    follow_orders([cancelled(refused)])
    let_claims_expire()
    [call] = claim_calls(1)
    assert not call.sends


def test_an_authorization_that_is_found_late_is_voided_at_once(
    stub: Any, place: Any, said: Any, cancelled: Any
) -> None:
    stub.disturb = staticmethod(lambda number: 500 if number == 1 else None)
    payment = place("pm_card_visa", amount=500)
    settle_payments()
    follow_orders([cancelled(payment)])
    settle_again()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("voided", "nothing")
    assert [intent["status"] for intent in stub.made.values()] == ["canceled"]
    assert said(payment.order_id) == ["PaymentAuthorized.v1", "PaymentVoided.v1"]
    assert reconcile().open == []


def test_an_authorization_that_appears_after_the_void_is_a_case(stub: Any, refused: Payment, cancelled: Any) -> None:
    settle_again()
    follow_orders([cancelled(refused)])
    let_requests_arrive()
    settle_again()
    key = f"{refused.pk}:authorize"
    intent = {"id": "pi_late", "object": "payment_intent", "status": "requires_capture", "amount": 500}
    stub.made[key] = {**intent, "currency": "eur", "created": stub.now(), "metadata": {"key": key}}
    assert "voided, but the gateway has booked: approved authorize of 500 EUR" in reconcile().open[0].description
