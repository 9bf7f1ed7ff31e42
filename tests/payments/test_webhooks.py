"""A signed, recent and small webhook only causes a lookup of the payment that it names."""

import json
import time
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from payments.gateways.signatures import sign
from payments.models import Attempt, Hint, Payment
from payments.sandbox import hooks, scripts
from payments.tasks import settle_payments
from tests.payments.dying import wait_for_late_calls

pytestmark = pytest.mark.django_db
URL = "/webhooks/payments"


def post(client: Client, body: bytes, *, signature: str | None = None, age: float = 0) -> tuple[int, Any]:
    if signature is None:
        signature = sign(body, settings.PAYMENT_WEBHOOK_SECRETS[0], time.time() - age)
    answer = client.post(URL, body, content_type="application/json", headers={"Sandbox-Signature": signature})
    return answer.status_code, answer.json()


def make_hint(payment: Payment, operation: str = "authorize", hint_id: str = "evt_1") -> bytes:
    return json.dumps({"id": hint_id, "type": f"{operation}.booked", "key": f"{payment.pk}:{operation}"}).encode()


@pytest.fixture
def waiting(place: Any, monkeypatch: pytest.MonkeyPatch) -> Payment:
    """Return a payment whose authorization succeeded but whose answer was lost. It is due again in two seconds."""
    monkeypatch.setattr(hooks, "schedule_webhook", lambda *args: None)
    payment: Payment = place("tok_webhook")
    settle_payments()
    wait_for_late_calls()
    settle_payments()  # not due yet
    payment.refresh_from_db()
    assert (payment.status, Attempt.objects.get().calls) == ("pending", 1)
    return payment


@pytest.mark.django_db(transaction=True)
def test_a_hint_causes_an_immediate_lookup(waiting: Payment, client: Client, rung: list[str], books: Any) -> None:
    rung.clear()
    assert post(client, make_hint(waiting)) == (200, {"used": True})
    assert rung == ["settle_payments"]
    settle_payments()
    waiting.refresh_from_db()
    assert waiting.status == "authorized"
    assert books() == [("authorize", "approved", 4999)]


def test_the_content_of_a_hint_is_not_used(place: Any, client: Client, books: Any) -> None:
    """The hint reports a capture, but the lookup at the gateway returns only an authorization."""
    payment = place()
    settle_payments()
    assert post(client, make_hint(payment, "capture")) == (200, {"used": False})
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"
    assert books() == [("authorize", "approved", 4999)]


def test_a_duplicate_hint_changes_nothing(waiting: Payment, client: Client) -> None:
    hint = make_hint(waiting)
    signature = sign(hint, settings.PAYMENT_WEBHOOK_SECRETS[0], time.time())
    assert post(client, hint, signature=signature) == (200, {"used": True})
    assert post(client, hint, signature=signature) == (200, {"used": False})
    assert post(client, hint) == (200, {"used": False})
    assert Hint.objects.count() == 1


def test_hints_in_the_wrong_order_do_no_harm(waiting: Payment, client: Client, books: Any) -> None:
    assert post(client, make_hint(waiting, hint_id="evt_2"))[0] == 200
    settle_payments()
    assert post(client, make_hint(waiting, hint_id="evt_1")) == (200, {"used": False})
    settle_payments()
    assert books() == [("authorize", "approved", 4999)]


@pytest.mark.parametrize("age", [301, 86400, -310])
def test_an_old_signature_is_refused(waiting: Payment, client: Client, age: float) -> None:
    status, told = post(client, make_hint(waiting), age=age)
    assert status == 400
    assert "the limit is 300 s" in told["error"]
    assert not Hint.objects.exists()


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("", "has no valid time"),
        ("nonsense", "has no valid time"),
        ("t=soon,v1=00", "has no valid time"),
        ("t=²,v1=00", "has no valid time"),
        ("t=1,v1=é", "does not match"),
        ("t=1780000000,v1=" + "0" * 64, "does not match"),
    ],
)
def test_another_signature_is_refused(waiting: Payment, client: Client, signature: str, complaint: str) -> None:
    status, told = post(client, make_hint(waiting), signature=signature.encode().decode("latin-1"))
    assert status == 400
    assert complaint in told["error"]


def test_a_changed_body_is_refused(waiting: Payment, client: Client) -> None:
    signature = sign(make_hint(waiting), settings.PAYMENT_WEBHOOK_SECRETS[0], time.time())
    assert post(client, make_hint(waiting, hint_id="evt_9"), signature=signature)[0] == 400


def test_a_large_body_is_refused_before_it_is_read(client: Client) -> None:
    status, told = post(client, b" " * (64 * 1024 + 1), signature="")
    assert (status, told["error"]) == (413, "the body has 65537 bytes, the limit is 65536")


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"id": "evt_1"}', b'{"id": 7, "key": "k"}'])
def test_a_malformed_signed_body_is_refused(db: None, client: Client, body: bytes) -> None:
    status, told = post(client, body)
    assert status == 400
    assert "wrong shape" in told["error"]


@pytest.mark.parametrize("hint_id", ["", "e" * 256, "evt\\u0000"])
def test_a_signed_hint_with_an_invalid_id_is_refused(db: None, client: Client, hint_id: str) -> None:
    status, told = post(client, f'{{"id": "{hint_id}", "key": "k"}}'.encode())
    assert (status, "is invalid" in told["error"]) == (400, True)


def test_only_post_requests_are_accepted(client: Client) -> None:
    assert reverse("payments:hint-receive") == URL
    assert client.get(URL).status_code == 405


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("tok_webhook", [("booked", scripts.SOON_SECONDS)]),
        ("tok_webhook_late", [("booked", scripts.LATE_SECONDS)]),
        ("tok_webhook_doubled", [("booked", scripts.SOON_SECONDS)] * 2),
        ("tok_webhook_disordered", [("booked", scripts.SOON_SECONDS), ("received", 2 * scripts.SOON_SECONDS)]),
    ],
)
def test_the_sandbox_sends_the_webhooks_of_the_tokens_script(
    place: Any, monkeypatch: pytest.MonkeyPatch, token: str, told: list[tuple[str, float]]
) -> None:
    sent: list[tuple[str, float]] = []
    monkeypatch.setattr(
        hooks, "schedule_webhook", lambda key, what, event_id, after: sent.append((what.split(".")[1], after))
    )
    place(token)
    settle_payments()
    assert sent == told


@pytest.mark.django_db(transaction=True)
def test_the_sandbox_signs_what_it_sends(waiting: Payment, live_server: Any, settings: Any) -> None:
    settings.PAYMENT_WEBHOOK_URL = f"{live_server.url}{URL}"
    hooks.send(hooks.make_sender(), make_hint(waiting))
    assert Hint.objects.get().pk == "evt_1"
