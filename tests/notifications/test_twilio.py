"""SMS through Twilio's REST API, against an HTTP server of this test: each message ends as it must, with a reason."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db.models.functions import Now

from notifications import twilio
from notifications.models import Message, SandboxDelivery
from notifications.providers import ProviderUnavailable, Undeliverable
from notifications.twilio import TwilioSms
from shop.events import OrderConfirmed

pytestmark = pytest.mark.django_db
ACCEPTED = (201, {"sid": "SM" + "0" * 32, "status": "queued", "to": "+4915112345678"})


@dataclass
class Twilio:
    """The state of the server: requests as (path, authorization, fields), and the answers still to give."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def fields(self) -> list[dict[str, str]]:
        """The fields of all requests."""
        return [fields for _, _, fields in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Twilio

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: value for name, (value,) in parse_qs(content, strict_parsing=True).items()}
        self.state.requests.append((self.path, self.headers["Authorization"], fields))
        status, answer = self.state.answers.pop(0) if self.state.answers else ACCEPTED
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if status == 0:  # no answer while the test runs
            self.state.released.wait(60)
            self.close_connection = True
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(settings: Any) -> Iterator[Twilio]:
    """Run a server with Twilio's API as the shop's SMS provider."""
    state = Twilio()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("OneHandler", (Handler,), {"state": state})) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, args=[0.05], daemon=True).start()
        settings.SMS_PROVIDER = "notifications.twilio.TwilioSms"
        settings.TWILIO_URL = f"http://127.0.0.1:{http.server_port}"
        settings.TWILIO_ACCOUNT, settings.TWILIO_TOKEN, settings.TWILIO_SENDER = "AC123", "t0ken", "Fjord"
        yield state
        state.released.set()
        http.shutdown()
        twilio.open_pool().clear()


@pytest.fixture
def ada(shopper: Callable[..., Any], server: Twilio) -> Any:
    """Return a customer with a telephone and one confirmed order."""
    customer = shopper()
    customer.hear(OrderConfirmed)
    return customer


def test_a_message_goes_to_twilio_with_the_accounts_credentials(ada: Any, server: Twilio) -> None:
    ada.send_all()
    message = ada.message("sms")
    assert (message.status, message.attempts, message.error) == ("sent", 1, "")
    [(path, authorization, fields)] = server.requests
    assert path == "/2010-04-01/Accounts/AC123/Messages.json"
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"AC123:t0ken"
    assert fields == {"To": "+4915112345678", "From": "Fjord", "Body": message.body}
    assert not SandboxDelivery.objects.filter(channel="sms").exists()


def test_a_messaging_service_is_named_as_such(ada: Any, server: Twilio, settings: Any) -> None:
    settings.TWILIO_SENDER = "MG" + "0a" * 16
    ada.send_all()
    assert [set(fields) for fields in server.fields] == [{"To", "MessagingServiceSid", "Body"}]


@pytest.mark.parametrize(
    ("phone", "to"),
    [("0151 23456789", "+4915123456789"), ("+44 (0)20 7946 0018", "+442079460018"), ("0047 912 34 567", "+4791234567")],
)
def test_a_national_number_gets_the_code_of_the_country_of_delivery(
    shopper: Callable[..., Any], server: Twilio, phone: str, to: str
) -> None:
    customer = shopper(phone=phone)
    customer.hear(OrderConfirmed)
    customer.send_all()
    assert [fields["To"] for fields in server.fields] == [to]


def test_a_number_that_cannot_exist_fails_without_a_call(shopper: Callable[..., Any], server: Twilio) -> None:
    customer = shopper(phone="+49 1")
    customer.hear(OrderConfirmed)
    customer.send_all()
    message = customer.message("sms")
    assert (message.status, message.error) == ("failed", "not a telephone number in DE, nor one with a country's code")
    assert server.requests == []


def test_a_refused_message_fails_with_twilios_reason_but_without_the_number(
    ada: Any, server: Twilio, caplog: pytest.LogCaptureFixture
) -> None:
    words = "The 'To' number +49 151 12345678 is not a valid phone number."
    server.answers = [(400, {"code": 21211, "message": words, "status": 400})]
    ada.send_all()
    message = ada.message("sms")
    expected = "Twilio answered 400, error 21211: The 'To' number NUMBER is not a valid phone number."
    assert (message.status, message.attempts, message.error) == ("failed", 1, expected)
    assert "12345678" not in "".join(f"{vars(record)}" for record in caplog.records)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503, 302])
def test_an_answer_that_says_nothing_about_the_message_is_retried_later(ada: Any, server: Twilio, status: int) -> None:
    server.answers = [(status, {"code": 20003, "message": "Authenticate"})]
    ada.send_all()
    message = ada.message("sms")
    assert (message.status, message.error) == ("pending", f"Twilio answered {status}, error 20003: Authenticate")
    past = Now() - timedelta(seconds=1)
    Message.objects.filter(status="pending").update(claimed_until=None, due_at=past)
    ada.send_all()
    assert (ada.message("sms").status, ada.message("sms").attempts, len(server.requests)) == ("sent", 2, 2)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"\xff", {"status": "queued"}, {"sid": 7}])
def test_an_acceptance_without_a_message_id_is_neither_believed_nor_repeated(server: Twilio, body: Any) -> None:
    server.answers = [(201, body)]
    with pytest.raises(Undeliverable, match="answered 201 without a message id: look in its log"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_a_message_that_failed_at_once_fails_with_its_reason(server: Twilio) -> None:
    server.answers = [(201, {"sid": "SM1", "status": "failed", "error_code": 30007, "error_message": "Filtered"})]
    with pytest.raises(Undeliverable, match="Twilio answered 201, error 30007: Filtered"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_a_refusal_without_words_keeps_its_status(server: Twilio) -> None:
    server.answers = [(400, b"<html>")]
    with pytest.raises(Undeliverable, match="Twilio answered 400: no reason given"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_a_missing_answer_ends_with_the_timeout(server: Twilio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio, "READ_SECONDS", 0.2)
    server.answers = [(0, None)]
    with pytest.raises(ProviderUnavailable, match="Twilio did not answer: ReadTimeoutError"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_a_server_that_is_away_is_reported_as_such(server: Twilio, settings: Any) -> None:
    settings.TWILIO_URL = "http://127.0.0.1:9"
    with pytest.raises(ProviderUnavailable, match="Twilio did not answer: NewConnectionError"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_an_answer_without_end_is_not_read_to_the_end(server: Twilio) -> None:
    server.answers = [(201, b"x" * (twilio.MAX_ANSWER_BYTES + 1))]
    with pytest.raises(ProviderUnavailable, match="more than 100000 bytes"):
        TwilioSms().send("m", "+4915112345678", "text")


def test_without_a_provider_no_sms_is_stored_and_a_waiting_one_fails_with_the_reason(ada: Any, settings: Any) -> None:
    settings.SMS_PROVIDER = ""
    ada.send_all()
    expected = ("failed", "the shop sends no text messages: SMS_PROVIDER is none")
    assert (ada.message("sms").status, ada.message("sms").error) == expected
    ada.hear(OrderConfirmed)
    assert sorted(Message.objects.values_list("channel", flat=True)) == ["email", "email", "shop", "shop", "sms"]


def test_the_checkout_offers_text_messages_only_with_a_provider(client: Any, settings: Any) -> None:
    from orders.pages.forms import CheckoutForm

    helps = []
    for provider in ("notifications.mailbox.SandboxSms", ""):
        settings.SMS_PROVIDER = provider
        helps.append(CheckoutForm(cart=None).fields["phone"].help_text)  # type: ignore[arg-type]
    assert helps == ["For text messages about your order.", "For questions about the delivery."]
