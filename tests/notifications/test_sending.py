"""Sending of messages: once each, even with dying workers, concurrent workers or an unavailable provider."""

import smtplib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail
from django.db import connections
from django.db.models.functions import Now

from notifications import delivery as sender
from notifications import queue
from notifications.mailbox import EmailBackend, SandboxSms
from notifications.models import Message, SandboxDelivery
from notifications.tasks import send_messages
from shop.events import OrderConfirmed

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """A stand-in for `kill -9`: no code of the worker runs after it."""


def die(*args: object, **named: object) -> None:
    raise Killed


def let_claims_expire() -> None:
    """Set the end of all claims and the due times to the past."""
    past = Now() - timedelta(seconds=1)
    Message.objects.filter(status="pending").update(claimed_until=past, due_at=past)


def test_mail_and_sms_are_delivered_under_their_message_id(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    for channel in ("email", "sms"):
        message = ada.message(channel)
        assert (message.status, message.attempts, message.claimed_until) == ("sent", 1, None)
        delivery = SandboxDelivery.objects.get(channel=channel)
        assert delivery.message_id == str(message.pk)
        assert delivery.body == message.body
    assert SandboxDelivery.objects.get(channel="email").subject == "Your order FP-1001 is confirmed"


def test_an_e_mail_goes_to_the_contact_with_the_messages_id(shopper: Any, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "Fjord & Pine <orders@shop.example>"
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    [letter] = mail.outbox
    assert letter.to == ["ada.planted@mail.example"]
    assert letter.extra_headers["Message-ID"] == f"<{ada.message('email').pk}@shop.example>"


def test_an_sms_goes_to_the_contacts_number_through_the_provider_that_the_settings_name(
    shopper: Any, settings: Any
) -> None:
    settings.SMS_PROVIDER = f"{__name__}.NotingSms"
    NotingSms.sent.clear()
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    message = ada.message("sms")
    assert NotingSms.sent == [(str(message.pk), "+4915112345678", message.body)]


class NotingSms:
    sent: list[tuple[str, str, str]] = []

    def send(self, message_id: str, to: str, text: str) -> None:
        self.sent.append((message_id, to, text))


def test_a_sent_message_is_not_sent_again(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    send_messages()
    assert ada.message("email").attempts == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_sending_and_recording_delivers_once(shopper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sender, "record_results", die)
        send_messages()
    assert SandboxDelivery.objects.count() == 1
    assert ada.message("email").status == "pending"
    send_messages()
    assert ada.message("email").attempts == 1
    let_claims_expire()
    send_messages()
    assert (ada.message("email").status, SandboxDelivery.objects.count()) == ("sent", 1)


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_a_message_once(shopper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    calls = []
    gate = threading.Barrier(4)
    monkeypatch.setattr(EmailBackend, "send_messages", lambda backend, letters: calls.append(letters))

    def send_in_thread() -> None:
        gate.wait(60)
        try:
            send_messages()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(send_in_thread) for _ in range(4)]:
            future.result(timeout=20)
    assert len(calls) == 1


def test_an_unavailable_provider_is_retried_after_growing_pauses_until_the_last_attempt(
    shopper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    pauses = []
    for _ in range(queue.MAX_ATTEMPTS):
        let_claims_expire()
        send_messages()
        waiting = Message.objects.annotate(now=Now()).get(channel="email")
        pauses.append(round((waiting.due_at - waiting.now).total_seconds()))
    assert pauses[:4] == [5, 10, 20, 40]
    assert max(pauses) == 3600
    failed = ada.message("email")
    assert (failed.status, failed.attempts, failed.error) == ("failed", 12, "ConnectionRefusedError")
    let_claims_expire()
    send_messages()
    assert ada.message("email").attempts == 12


def refuse(*args: object) -> None:
    raise ConnectionRefusedError("nobody at ada.planted@mail.example")


def test_an_address_in_a_providers_error_is_neither_stored_nor_logged(
    shopper: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def quote_address(*args: object) -> None:
        raise smtplib.SMTPDataError(550, b"no such user ada.planted@mail.example")

    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    monkeypatch.setattr(EmailBackend, "send_messages", quote_address)
    send_messages()
    assert ada.message("email").error == "SMTPDataError 550"
    assert "message not sent" in caplog.text
    assert "planted" not in "".join(f"{vars(record)}" for record in caplog.records)


def test_a_message_to_an_erased_contact_fails_with_a_reason(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.erase()
    ada.send_all()
    for channel in ("email", "sms"):
        assert (ada.message(channel).status, ada.message(channel).error) == ("failed", "contact erased")
    assert not SandboxDelivery.objects.exists()


def test_an_erased_contact_still_gets_messages_in_the_shop(shopper: Any) -> None:
    ada = shopper()
    ada.erase()
    ada.hear(OrderConfirmed)
    ada.send_all()
    assert ada.message("email").error == "contact erased"
    assert ada.message("shop").status == "sent"


def test_an_sms_to_a_removed_number_fails(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.contact.phone = ""
    ada.contact.save()
    ada.send_all()
    assert (ada.message("sms").status, ada.message("sms").error) == ("failed", "no telephone number")


def test_a_worker_that_slept_past_its_claim_records_nothing(shopper: Any) -> None:
    ada = shopper(phone="")
    ada.hear(OrderConfirmed)
    [slept] = queue.claim_messages(10)
    let_claims_expire()
    send_messages()
    queue.record_results([queue.SendResult(slept, "too late")])
    assert (ada.message("email").status, ada.message("email").error) == ("sent", "")


def test_a_batch_uses_one_mail_connection_and_a_new_one_after_an_error(
    shopper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shoppers = [shopper(phone="") for _ in range(4)]
    for number, ada in enumerate(shoppers):
        ada.contact.email = f"{number}@mail.example"
        ada.contact.save()
        ada.hear(OrderConfirmed)
    opened: list[object] = []
    deliver = EmailBackend.send_messages

    def refuse_one(backend: EmailBackend, letters: Any) -> int:
        if letters[0].to == ["1@mail.example"]:
            raise smtplib.SMTPRecipientsRefused({})
        return deliver(backend, letters)

    monkeypatch.setattr(EmailBackend, "open", lambda backend: opened.append(backend))
    monkeypatch.setattr(EmailBackend, "send_messages", refuse_one)
    send_messages()
    assert [ada.message("email").status for ada in shoppers] == ["sent", "pending", "sent", "sent"]
    assert shoppers[1].message("email").error == "SMTPRecipientsRefused"
    assert len(opened) == 2


def test_a_hanging_mail_server_costs_later_messages_no_attempt(shopper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        shopper(phone="").hear(OrderConfirmed)
    clock = iter([0, 1, 12, 12])
    monkeypatch.setattr(sender, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    sender.send_due_messages()
    found = sorted(Message.objects.filter(channel="email").values_list("status", "attempts", "claimed_until"))
    assert found == [("pending", 0, None), ("pending", 0, None), ("sent", 1, None)]


def test_the_mailbox_stores_a_message_id_once(db: None) -> None:
    for text in ("first", "second"):
        SandboxSms().send("m1", "+49", text)
    assert list(SandboxDelivery.objects.values_list("body", flat=True)) == ["first"]


def test_a_mail_that_django_sends_for_other_reasons_is_delivered_too(db: None) -> None:
    for _ in range(2):
        mail.send_mail("Reset", "Follow the link", None, ["staff@shop.example"])
    assert SandboxDelivery.objects.filter(subject="Reset").count() == 2
