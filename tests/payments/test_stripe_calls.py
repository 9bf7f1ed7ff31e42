"""What the Stripe gateway puts on the wire, seen by a stub: keys, time-outs, no repeats; and the webhooks it takes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from payments.gateway import GatewayUnavailable
from payments.models import Attempt, Hint, Payment
from payments.signatures import sign
from payments.stripe_gateway import StripeGateway
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire, wait_for_late_calls

gateway = StripeGateway()


class Stub(BaseHTTPRequestHandler):
    """Keeps an answer for each Idempotency-Key, as Stripe does, and loses some of them on their way."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str]]
    made: dict[str, dict[str, Any]]
    disturb: Callable[[int], int | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        key = self.headers.get("Idempotency-Key", "")
        self.asked.append((self.command, self.path, key))
        if key not in self.made:
            self.made[key] = {
                **{"id": f"pi_{len(self.made)}", "object": "payment_intent", "status": "requires_capture"},
                **{"amount": 500, "currency": "eur", "created": int(time.time()), "metadata": {"key": key}},
            }
        assert "confirm=true" in body
        self.answer(self.made[key])

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
        self.answer({"object": "list", "data": list(self.made.values()), "has_more": False, "url": self.path})

    def answer(self, value: dict[str, Any]) -> None:
        status = type(self).disturb(len(self.asked)) or 200
        if status == 1:  # no answer at all
            time.sleep(0.6)
            self.close_connection = True
            return
        content = json.dumps(value if status == 200 else {"error": {"message": "scripted"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stub(settings: Any) -> Iterator[type[Stub]]:
    """The stub, as the gateway that payments use."""
    handler = type("OneStub", (Stub,), {"asked": [], "made": {}, "disturb": staticmethod(lambda n: None)})
    settings.PAYMENT_GATEWAY = "payments.stripe_gateway.StripeGateway"
    settings.GATEWAY_READ_SECONDS = 0.3
    settings.STRIPE_KEY = "sk_test_1"
    settings.STRIPE_WEBHOOK_SECRET = "whsec_1"
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        settings.STRIPE_URL = f"http://127.0.0.1:{server.server_port}"
        yield handler
        server.shutdown()


def test_the_key_of_the_attempt_goes_with_the_call(stub: type[Stub]) -> None:
    key = f"{uuid7()}:authorize"
    first = gateway.authorize(key, "pm_card_visa", 500, "EUR")
    assert gateway.authorize(key, "pm_card_visa", 500, "EUR") == first
    assert stub.asked == [("POST", "/v1/payment_intents", key)] * 2
    assert len(stub.made) == 1


@pytest.mark.parametrize("status", [1, 500, 409, 429])
def test_the_library_never_asks_again_by_itself_nor_waits_for_long(stub: type[Stub], status: int) -> None:
    stub.disturb = staticmethod(lambda n: status)
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable):
        gateway.authorize(f"{uuid7()}:authorize", "pm_card_visa", 500, "EUR")
    assert time.monotonic() - began < 0.6
    assert len(stub.asked) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", [1, 500])
def test_an_answer_that_was_lost_is_looked_up_and_charged_once(stub: type[Stub], place: Any, status: int) -> None:
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
def test_what_stripe_never_saw_is_sent_again_under_the_same_key(stub: type[Stub], place: Any, settings: Any) -> None:
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
def test_stripes_webhook_has_its_payment_looked_up(stub: type[Stub], place: Any, client: Client) -> None:
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
