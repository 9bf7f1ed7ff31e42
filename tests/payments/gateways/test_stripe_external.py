"""Refunds and disputes at Stripe, against localstripe, and the webhooks about them."""

import json
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from payments.gateways.signatures import sign
from payments.gateways.stripe import StripeGateway
from payments.handlers import follow_orders
from payments.models import Case, Payment, Refund
from payments.reconciliation.cases import reconcile
from payments.tasks import settle_payments

gateway = StripeGateway()


def post_to_stripe(address: str, path: str, **values: str) -> dict[str, Any]:
    """Send a request to localstripe, as a person does with the dashboard."""
    request = Request(f"{address}/v1/{path}", data=urlencode(values).encode(), method="POST")
    request.add_header("Authorization", f"Basic {b64encode(b'sk_test_1:').decode()}")
    with urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def paid(localstripe: str, settings: Any, place: Any, confirmed: Any) -> Payment:
    """Return a payment that was captured at localstripe."""
    settings.PAYMENT_GATEWAY = "payments.gateways.stripe.StripeGateway"
    settings.STRIPE_URL, settings.STRIPE_KEY = localstripe, "sk_test_1"
    payment: Payment = place("pm_card_visa", amount=5000)
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "captured"
    return payment


def list_cases(payment: Payment) -> list[str]:
    reconcile()
    return list(Case.objects.filter(payment=payment, closed_at=None).order_by("pk").values_list("kind", flat=True))


@pytest.mark.django_db
def test_a_refund_in_the_dashboard_is_recorded_and_a_case(paid: Payment, localstripe: str) -> None:
    made = post_to_stripe(localstripe, "refunds", payment_intent=paid.gateway_reference, amount="1200")
    assert list_cases(paid) == ["external_refund"]
    paid.refresh_from_db()
    assert (paid.refunded_amount, Refund.objects.get().gateway_reference) == (1200, made["id"])
    assert list_cases(paid) == ["external_refund"]
    assert Refund.objects.count() == 1


@pytest.mark.django_db
def test_a_dispute_is_a_case(paid: Payment, localstripe: str) -> None:
    values = {"payment_intent": paid.gateway_reference, "amount": "5000", "currency": "eur"}
    made = post_to_stripe(localstripe, "disputes", **values)
    assert list_cases(paid) == ["disputed"]
    assert Case.objects.get(kind="disputed").description.endswith(f"as {made['id']}: needs_response, fraudulent")


@pytest.mark.django_db
def test_an_authorization_that_was_cancelled_in_the_dashboard_fails_its_capture(
    localstripe: str, settings: Any, place: Any, confirmed: Any
) -> None:
    settings.PAYMENT_GATEWAY = "payments.gateways.stripe.StripeGateway"
    settings.STRIPE_URL, settings.STRIPE_KEY = localstripe, "sk_test_1"
    payment: Payment = place("pm_card_visa", amount=5000)
    settle_payments()
    payment.refresh_from_db()
    post_to_stripe(localstripe, f"payment_intents/{payment.gateway_reference}/cancel")
    follow_orders([confirmed(payment)])
    for _ in range(3):
        Payment.objects.update(due_at=payment.created_at)
        settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("failed", "nothing")
    assert list_cases(payment) == ["capture_failed"]


@pytest.mark.django_db
def test_refunds_of_other_programs_are_ignored(stub: Any, place: Any) -> None:
    stub.made["other:refund:1"] = {"metadata": {}, "payment_intent": "pi_of_another_program", "id": "re_other"}
    assert reconcile().open == []
    assert [entry.external_id for entry in gateway.read_ledger()] == ["re_other"]


def send(client: Client, kind: str, about: dict[str, Any], event_id: str = "evt_1") -> bool:
    body = json.dumps({"id": event_id, "object": "event", "type": kind, "data": {"object": about}}).encode()
    headers = {"Stripe-Signature": sign(body, "whsec_1", time.time())}
    answer = client.post("/webhooks/payments", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    return bool(answer.json()["used"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "about"),
    [
        ("charge.dispute.created", {"object": "dispute", "id": "dp_1", "payment_intent": "pi_0", "metadata": {}}),
        ("refund.created", {"object": "refund", "id": "re_9", "payment_intent": "pi_0", "metadata": {}}),
    ],
)
def test_a_webhook_about_an_external_event_starts_a_reconciliation_once(
    stub: Any, client: Client, rung: list[str], kind: str, about: dict[str, Any]
) -> None:
    assert send(client, kind, about)
    assert not send(client, kind, about)
    assert rung == ["reconcile_payments"]


@pytest.mark.django_db(transaction=True)
def test_a_webhook_about_a_charge_starts_a_reconciliation_if_the_refunded_amount_is_unknown(
    stub: Any, client: Client, place: Any, confirmed: Any, rung: list[str]
) -> None:
    payment: Payment = place("pm_card_visa", amount=500)
    settle_payments()
    follow_orders([confirmed(payment)])
    settle_payments()
    rung.clear()
    charge = {"object": "charge", "id": "ch_1", "metadata": {"key": f"{payment.pk}:authorize"}}
    assert send(client, "charge.refunded", {**charge, "amount_refunded": 200}, "evt_1")
    Payment.objects.update(refunded_amount=200)
    assert not send(client, "charge.refunded", {**charge, "amount_refunded": 200}, "evt_2")
    assert rung == ["reconcile_payments"]


def test_a_webhook_about_our_own_refund_is_not_external(stub: Any) -> None:
    refund = {"object": "refund", "id": "re_1", "metadata": {"key": f"{uuid7()}:refund:1"}}
    body = json.dumps({"id": "evt_1", "object": "event", "type": "refund.updated", "data": {"object": refund}}).encode()
    hint = gateway.read_hint({"Stripe-Signature": sign(body, "whsec_1", time.time())}, body)
    assert (hint.key, hint.is_external) == (refund["metadata"]["key"], False)  # type: ignore[index]
