"""The requests of the Stripe gateway, recorded by a stub: keys, timeouts, no retries. Also Stripe's webhooks."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from payments.gateways.protocol import GatewayUnavailable
from payments.gateways.signatures import sign
from payments.gateways.stripe import StripeGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Hint, Payment, Refund
from payments.reconciliation.cases import reconcile
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire, wait_for_late_calls

gateway = StripeGateway()


def test_the_key_of_the_attempt_goes_with_the_call(stub: Any) -> None:
    key = f"{uuid7()}:authorize"
    first = gateway.authorize(key, "pm_card_visa", 500, "EUR")
    assert gateway.authorize(key, "pm_card_visa", 500, "EUR") == first
    assert stub.asked == [("POST", "/v1/payment_intents", key)] * 2
    assert len(stub.made) == 1


@pytest.mark.parametrize("status", [1, 500, 409, 429])
def test_stripes_library_neither_retries_nor_exceeds_the_timeout(stub: Any, settings: Any, status: int) -> None:
    settings.GATEWAY_READ_SECONDS = 0.3
    stub.disturb = staticmethod(lambda n: status)
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable):
        gateway.authorize(f"{uuid7()}:authorize", "pm_card_visa", 500, "EUR")
    assert time.monotonic() - began < 0.6
    assert len(stub.asked) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", [1, 500])
def test_an_answer_that_was_lost_is_looked_up_and_charged_once(
    stub: Any, place: Any, settings: Any, status: int
) -> None:
    settings.GATEWAY_READ_SECONDS = 0.3 if status == 1 else 3
    stub.disturb = staticmethod(lambda n: status if n == 1 else None)
    payment = place("pm_card_visa", amount=500)
    settle_payments()
    wait_for_late_calls()
    payment.refresh_from_db()
    assert payment.status == "pending"
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.gateway_reference) == ("authorized", "pi_0")
    assert [method for method, _, _ in stub.asked] == ["POST", "GET"]
    assert Attempt.objects.get().calls == 2


@pytest.mark.django_db
def test_a_call_unknown_to_stripe_is_sent_again_with_the_same_key(stub: Any, place: Any, settings: Any) -> None:
    address, settings.STRIPE_URL = settings.STRIPE_URL, "http://127.0.0.1:1"
    payment = place("pm_card_visa", amount=500)
    settle_payments()
    settings.STRIPE_URL = address
    let_claims_expire()
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"
    assert [(method, key) for method, _, key in stub.asked] == [("GET", ""), ("POST", f"{payment.pk}:authorize")]


@pytest.mark.django_db
def test_stripes_webhook_has_its_payment_looked_up(stub: Any, place: Any, client: Client) -> None:
    payment: Payment = place("pm_card_visa", amount=500)
    intent = {"id": "pi_0", "object": "payment_intent", "metadata": {"key": f"{payment.pk}:authorize"}}
    event = {"id": "evt_7", "object": "event", "type": "payment_intent.succeeded", "data": {"object": intent}}
    body = json.dumps(event).encode()
    stub.disturb = staticmethod(lambda n: 500 if n == 1 else None)
    settle_payments()
    for secret, age, status in (("whsec_2", 0, 400), ("whsec_1", 301, 400), ("whsec_1", 0, 200), ("whsec_1", 0, 200)):
        headers = {"Stripe-Signature": sign(body, secret, time.time() - age)}
        answer = client.post("/webhooks/payments", body, content_type="application/json", headers=headers)
        assert answer.status_code == status
    assert Hint.objects.get().pk == "evt_7"
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"


@pytest.fixture
def refunded(stub: Any, place: Any, confirmed: Any, cancelled: Any) -> Payment:
    """Return a payment whose order was cancelled after the capture. The bank has not decided about the refund."""
    stub.refunds_are = ("pending", None)
    payment: Payment = place("pm_card_visa", amount=500)
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    follow_orders([cancelled(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, payment.refunded_amount) == ("captured", "refund", 0)
    assert Refund.objects.get().status == "pending"
    return payment


def send_refund_webhook(client: Client, payment: Payment, event_type: str) -> None:
    refund = {"id": "re_0", "object": "refund", "metadata": {"key": f"{payment.pk}:refund:1"}}
    event = {"id": f"evt_{event_type}", "object": "event", "type": event_type, "data": {"object": refund}}
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": sign(body, "whsec_1", time.time())}
    assert client.post("/webhooks/payments", body, content_type="application/json", headers=headers).json()["used"]


@pytest.mark.django_db
@pytest.mark.parametrize("event_type", ["refund.updated", "charge.refund.updated"])
def test_a_refund_that_stripe_calls_pending_is_looked_up_when_a_webhook_names_it(
    stub: Any, refunded: Payment, client: Client, event_type: str
) -> None:
    send_refund_webhook(client, refunded, event_type)
    settle_payments()
    refunded.refresh_from_db()
    assert refunded.wanted == "refund", "the webhook's content was used"
    stub.refunds_are = ("succeeded", None)
    send_refund_webhook(client, refunded, f"{event_type}.2")
    settle_payments()
    refunded.refresh_from_db()
    assert (refunded.status, refunded.wanted, refunded.refunded_amount) == ("refunded", "nothing", 500)
    assert [path for method, path, _ in stub.asked if method == "POST"].count("/v1/refunds") == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "why"), [("failed", "expired_or_canceled_card"), ("canceled", None)])
def test_a_pending_refund_that_fails_at_stripe_is_a_case(
    stub: Any, refunded: Payment, status: str, why: str | None
) -> None:
    assert reconcile().open == []
    stub.refunds_are = (status, why)
    let_claims_expire()
    settle_payments()
    refunded.refresh_from_db()
    assert (refunded.status, refunded.wanted, refunded.refunded_amount) == ("captured", "nothing", 0)
    [case] = reconcile().open
    assert (case.kind, case.description) == ("refund_declined", f"refund 1 of 500 EUR was declined: {why or status}")


@pytest.mark.django_db
def test_a_refund_that_fails_after_it_had_succeeded_is_a_case(stub: Any, refunded: Payment) -> None:
    stub.refunds_are = ("succeeded", None)
    let_claims_expire()
    settle_payments()
    assert reconcile().open == []
    stub.refunds_are = ("failed", "lost_or_stolen_card")
    assert {case.kind for case in reconcile().open} == {"differs"}


@pytest.mark.django_db
def test_a_pending_intent_does_not_prevent_reading_the_ledger(stub: Any, place: Any) -> None:
    place("pm_card_visa", amount=500)
    settle_payments()
    stub.made["other:authorize"] = {
        **{"id": "pi_9", "object": "payment_intent", "status": "processing", "amount": 7, "currency": "eur"},
        **{"created": int(time.time()), "metadata": {"key": f"{uuid7()}:authorize"}},
    }
    [case] = reconcile().open
    assert "pending authorize of 7 EUR belongs to payment" in case.description


@pytest.mark.django_db
def test_stripes_lists_are_read_back_to_the_start_of_the_period_only(stub: Any) -> None:
    for number, age in enumerate((0, 3, 40)):
        stub.made[f"{number}:authorize"] = {
            **{"id": f"pi_{number}", "object": "payment_intent", "status": "requires_capture", "amount": number},
            **{
                "currency": "eur",
                "created": int(time.time()) - age * 86400,
                "metadata": {"key": f"{number}:authorize"},
            },
        }
    now = datetime.now(UTC)
    assert [entry.amount for entry in gateway.read_ledger(now - timedelta(days=35))] == [0, 1]
    assert [entry.amount for entry in gateway.read_ledger(now - timedelta(days=1))] == [0]
    assert [entry.amount for entry in gateway.read_ledger()] == [0, 1, 2]
