"""The requests of the Stripe gateway, recorded by a stub: keys, timeouts, no retries. Also Stripe's webhooks."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from payments.gateways import stripe as stripe_gateway
from payments.gateways.protocol import GatewayUnavailable
from payments.gateways.signatures import sign
from payments.gateways.stripe import StripeGateway
from payments.handlers import follow_orders
from payments.models import Attempt, Hint, Payment, Refund
from payments.reconciliation.cases import reconcile
from payments.tasks import settle_payments
from tests.payments.dying import let_claims_expire, wait_for_late_calls

gateway = StripeGateway()


class Stub(BaseHTTPRequestHandler):
    """A stub of Stripe that stores an answer for each Idempotency-Key and loses some answers on their way."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str]]
    made: dict[str, dict[str, Any]]
    disturb: Callable[[int], int | None]
    #: The bank's current decision about all refunds: status and failure reason.
    refunds_are: tuple[str, str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        key = self.headers.get("Idempotency-Key", "")
        self.asked.append((self.command, self.path, key))
        if self.path == "/v1/refunds":
            self.answer(self.show_refund(self.made.setdefault(key, {"metadata": {"key": key}})))
            return
        if self.path.endswith("/capture"):
            self.made[next(iter(self.made))]["status"] = "succeeded"
            self.answer(next(iter(self.made.values())))
            return
        if key not in self.made:
            self.made[key] = {
                **{"id": f"pi_{len(self.made)}", "object": "payment_intent", "status": "requires_capture"},
                **{"amount": 500, "currency": "eur", "created": int(time.time()), "metadata": {"key": key}},
            }
        assert "confirm=true" in body
        self.answer(self.made[key])

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Idempotency-Key", "")))
        if self.path.startswith("/v1/payment_intents/"):
            self.answer(next(iter(self.made.values())))
            return
        refunds = [self.show_refund(made) for key, made in self.made.items() if ":refund:" in key]
        intents = [made for key, made in self.made.items() if ":refund:" not in key]
        found = refunds if self.path.startswith("/v1/refunds") else intents
        self.answer({"object": "list", "data": found, "has_more": False, "url": self.path})

    def show_refund(self, made: dict[str, Any]) -> dict[str, Any]:
        """Return the full refund of the only intent, with the bank's current decision."""
        status, reason = type(self).refunds_are
        return {
            **{"id": "re_0", "object": "refund", "payment_intent": "pi_0", "amount": 500, "currency": "eur"},
            **{"created": int(time.time()), "status": status, "failure_reason": reason, **made},
        }

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
    """Run a stub of Stripe as the shop's payment gateway and yield its class."""
    fresh = {"asked": [], "made": {}, "disturb": staticmethod(lambda n: None), "refunds_are": ("succeeded", None)}
    handler = type("OneStub", (Stub,), fresh)
    settings.PAYMENT_GATEWAY = "payments.gateways.stripe.StripeGateway"
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
def test_stripes_library_neither_retries_nor_exceeds_the_timeout(stub: type[Stub], status: int) -> None:
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
def test_a_call_unknown_to_stripe_is_sent_again_with_the_same_key(stub: type[Stub], place: Any, settings: Any) -> None:
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


@pytest.fixture
def refunded(stub: type[Stub], place: Any, confirmed: Any, cancelled: Any) -> Payment:
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
    stub: type[Stub], refunded: Payment, client: Client, event_type: str
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
    stub: type[Stub], refunded: Payment, status: str, why: str | None
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
def test_a_refund_that_fails_after_it_had_succeeded_is_a_case(stub: type[Stub], refunded: Payment) -> None:
    stub.refunds_are = ("succeeded", None)
    let_claims_expire()
    settle_payments()
    assert reconcile().open == []
    stub.refunds_are = ("failed", "lost_or_stolen_card")
    assert {case.kind for case in reconcile().open} == {"differs"}


@pytest.mark.django_db
def test_a_pending_intent_does_not_prevent_reading_the_ledger(stub: type[Stub], place: Any) -> None:
    place("pm_card_visa", amount=500)
    settle_payments()
    stub.made["other:authorize"] = {
        **{"id": "pi_9", "object": "payment_intent", "status": "processing", "amount": 7, "currency": "eur"},
        **{"created": int(time.time()), "metadata": {"key": f"{uuid7()}:authorize"}},
    }
    [case] = reconcile().open
    assert "pending authorize of 7 EUR belongs to payment" in case.description


@pytest.mark.django_db
def test_stripes_lists_are_read_back_to_the_start_of_the_period_only(stub: type[Stub]) -> None:
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


@pytest.mark.parametrize(("age", "found"), [(timedelta(0), False), (timedelta(hours=24), True)])
def test_a_lookup_lists_a_limited_number_of_intents_while_stripe_knows_the_key(
    stub: type[Stub], monkeypatch: pytest.MonkeyPatch, age: timedelta, found: bool
) -> None:
    monkeypatch.setattr(stripe_gateway, "MOST_LISTED", 2)
    payment_id = UUID(int=int((datetime.now(UTC) - age).timestamp() * 1000) << 80)
    keys = [f"{uuid7()}:authorize" for _ in range(3)] + [f"{payment_id}:authorize"]
    for key in keys:
        gateway.authorize(key, "pm_card_visa", 500, "EUR")
    assert (gateway.lookup(keys[-1]) is not None) == found
    assert gateway.authorize(keys[-1], "pm_card_visa", 500, "EUR").reference == "pi_3"
    assert len(stub.made) == 4
