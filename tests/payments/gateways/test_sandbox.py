"""The sandbox gateway over HTTP, and the check of a gateway's answers."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from django.db import connections

from payments.gateways import sandbox as sandbox_gateway
from payments.gateways.protocol import MOST_REFERENCE, GatewayAnswer, GatewayUnavailable
from payments.gateways.sandbox import SandboxGateway
from payments.models import Attempt, Payment
from payments.tasks import settle_payments

pytestmark = pytest.mark.django_db
gateway = SandboxGateway()


def test_the_same_key_gets_the_same_answer_and_one_charge(books: Any) -> None:
    first = gateway.authorize("k", "tok_ok", 500, "EUR")
    assert gateway.authorize("k", "tok_ok", 500, "EUR") == first
    assert gateway.lookup("k") == first
    assert books() == [("authorize", "approved", 500)]


def test_the_same_key_at_the_same_moment_gets_one_charge(books: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: gateway.authorize("k", "tok_ok", 500, "EUR").reference, range(16)))
    assert len(answers) == 1
    assert books() == [("authorize", "approved", 500)]


def test_a_key_that_was_never_used_is_unknown(books: Any) -> None:
    assert gateway.lookup("never") is None


def test_a_key_used_for_something_else_is_refused(books: Any) -> None:
    gateway.authorize("k", "tok_ok", 500, "EUR")
    with pytest.raises(GatewayUnavailable, match="'k' was used for authorize of 500, now for authorize of 600"):
        gateway.authorize("k", "tok_ok", 600, "EUR")


def test_a_captured_authorization_is_neither_captured_again_nor_voided(books: Any) -> None:
    reference = gateway.authorize("a", "tok_ok", 500, "EUR").reference
    captured = gateway.capture("c", reference, 500)
    assert captured.outcome == "approved"
    assert gateway.capture("c", reference, 500) == captured
    assert gateway.capture("c2", reference, 500).reason == "already captured"
    assert gateway.void("v", reference).reason == "already captured"


def test_a_voided_authorization_is_not_captured(books: Any) -> None:
    reference = gateway.authorize("a", "tok_ok", 500, "EUR").reference
    assert gateway.void("v", reference).outcome == "approved"
    assert gateway.capture("c", reference, 500).reason == "already voided"


def test_no_more_is_captured_than_was_authorized(books: Any) -> None:
    reference = gateway.authorize("a", "tok_ok", 500, "EUR").reference
    assert gateway.capture("c", reference, 501).reason == "only 500 is authorized"


@pytest.mark.parametrize("operation", ["capture", "void"])
def test_an_unknown_authorization_is_neither_captured_nor_voided(books: Any, operation: str) -> None:
    answer = gateway.capture("c", "auth_0", 500) if operation == "capture" else gateway.void("c", "auth_0")
    assert (answer.outcome, answer.reason) == ("declined", "no such authorization")


@pytest.mark.django_db(transaction=True)
def test_capture_and_void_at_the_same_moment_end_in_one_of_them(books: Any) -> None:
    for round_ in range(5):
        reference = gateway.authorize(f"a{round_}", "tok_ok", 500, "EUR").reference
        with ThreadPoolExecutor(2) as pool:
            captured = pool.submit(gateway.capture, f"c{round_}", reference, 500)
            voided = pool.submit(gateway.void, f"v{round_}", reference)
        assert {captured.result().outcome, voided.result().outcome} == {"approved", "declined"}


def test_an_unreachable_ledger_is_an_unknown_outcome(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {**connections["default"].get_connection_params(), "port": 1}
    monkeypatch.setattr(type(connections["default"]), "get_connection_params", lambda self: parameters)
    with pytest.raises(GatewayUnavailable, match="refused"):
        gateway.lookup("k")


GOOD = {"outcome": "approved", "reference": "auth_1", "amount": 4999, "currency": "EUR", "reason": ""}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"amount": 5000}, "the amount 5000, expected 4999"),
        ({"amount": "4999"}, "wrong shape: Expected `int`, got `str` - at `$.amount`"),
        ({"currency": "USD"}, "the currency 'USD', expected 'EUR'"),
        ({"outcome": "perhaps"}, "wrong shape: Invalid enum value 'perhaps' - at `$.outcome`"),
        ({"reference": ""}, "its reference is empty"),
        ({"reference": "x" * 101}, "text can't be stored"),
        ({"reference": "auth\0"}, "text can't be stored: 'auth\\x00'"),
        ({"reason": "no\0"}, "text can't be stored"),
        (None, "wrong shape: Expected `object`, got `str`"),
    ],
)
def test_a_malformed_answer_is_an_unknown_outcome_that_says_what_was_wrong(
    place: Any, said: Any, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any] | None, complaint: str
) -> None:
    payment = place(amount=4999)
    answer: object = "502 Bad Gateway" if wrong is None else {**GOOD, **wrong}
    monkeypatch.setattr(SandboxGateway, "authorize", lambda *args: answer)
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted, payment.claimed_until) == ("pending", "authorize", None)
    assert complaint in Attempt.objects.get().outcome
    assert said(payment.order_id) == []


def test_an_answer_that_cannot_be_stored_does_not_affect_the_other_answers_of_the_batch(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorize = SandboxGateway.authorize

    def lie_or_fail(gateway: SandboxGateway, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        if amount == 1:
            return GatewayAnswer(**{**GOOD, "amount": 1, "reference": "x" * 101})  # type: ignore[arg-type]
        if amount == 2:
            raise GatewayUnavailable("the gateway answered 502: \0\0")
        return authorize(gateway, key, token, amount, currency)

    monkeypatch.setattr(SandboxGateway, "authorize", lie_or_fail)
    lied, failed, good = (place(amount=amount) for amount in (1, 2, 3))
    settle_payments()
    outcomes = dict(Attempt.objects.values_list("payment_id", "outcome"))
    assert outcomes[good.pk] == "approved"
    assert outcomes[failed.pk] == "GatewayUnavailable: the gateway answered 502: \\0\\0"
    assert "can't be stored" in outcomes[lied.pk]


def test_the_longest_accepted_reference_fits_into_its_column() -> None:
    assert Payment._meta.get_field("gateway_reference").max_length == MOST_REFERENCE


def test_an_answer_in_slow_chunks_ends_at_the_deadline(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk arrives within the read timeout, so only a deadline ends the call."""
    monkeypatch.setattr(sandbox_gateway, "CALL_SECONDS", 0.7)
    settings.GATEWAY_READ_SECONDS = 0.4
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.SANDBOX_URL = f"http://127.0.0.1:{server.getsockname()[1]}"

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                for _ in range(50):
                    time.sleep(0.1)
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(GatewayUnavailable, match="is incomplete at the deadline"):
            gateway.authorize("k", "tok_ok", 500, "EUR")
        assert time.monotonic() - began < 3
        thread.join()


def test_a_duplicate_answer_is_not_used_for_the_next_call(settings: Any) -> None:
    """The gateway sends each answer twice on a connection that the client keeps open."""
    calls = ["a", "b", "c"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.SANDBOX_URL = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while asked := connection.recv(65536):
                    if b"Idempotency-Key: " not in asked:
                        continue  # the body may arrive after the headers
                    key = asked.partition(b"Idempotency-Key: ")[2].partition(b"\r\n")[0].decode()
                    body = json.dumps({**GOOD, "key": key, "reference": f"auth_{key}"}).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) * 2)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=[server.accept()[0]], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        assert [gateway.authorize(key, "tok_ok", 4999, "EUR").reference for key in calls] == [
            f"auth_{key}" for key in calls
        ]
        server.shutdown(socket.SHUT_RDWR)
        sandbox_gateway.open_pool(settings.SANDBOX_URL).close()


def test_an_answer_about_another_authorization_is_not_believed(
    place: Any, confirmed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = place()
    settle_payments()
    Payment.objects.update(wanted="capture")
    monkeypatch.setattr(SandboxGateway, "capture", lambda *args: GatewayAnswer(**GOOD))  # type: ignore[arg-type]
    settle_payments()
    payment.refresh_from_db()
    assert payment.status == "authorized"
    assert "the reference 'auth_1', expected 'auth_" in Attempt.objects.get(operation="capture").outcome


def test_a_refused_capture_stays_wanted_and_says_why(place: Any, said: Any) -> None:
    payment = place()
    settle_payments()
    payment.refresh_from_db()
    gateway.void("by hand", payment.gateway_reference)
    Payment.objects.update(wanted="capture")
    settle_payments()
    payment.refresh_from_db()
    assert (payment.status, payment.wanted) == ("authorized", "capture")
    assert Attempt.objects.get(operation="capture").outcome == "declined: already voided"
    assert said(payment.order_id) == ["PaymentAuthorized.v1"]


class OtherGateway(SandboxGateway):
    """Another gateway for settings.PAYMENT_GATEWAY."""

    def authorize(self, key: str, token: str, amount: int, currency: str) -> GatewayAnswer:
        return GatewayAnswer(outcome="declined", reference="", amount=amount, currency=currency, reason="other gateway")


def test_the_gateway_is_the_one_that_the_settings_name(place: Any, settings: Any) -> None:
    settings.PAYMENT_GATEWAY = f"{__name__}.OtherGateway"
    place()
    settle_payments()
    assert Payment.objects.get().reason == "other gateway"
