"""The limit of letters per recipient: strangers cannot flood an address, and no letter is lost silently."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from notifications import recipients
from notifications.models import Message, Recipient, SandboxDelivery
from notifications.recipients import (
    HOUR_SECONDS,
    LONGEST_DELAY_SECONDS,
    RESERVED,
    Letter,
    find_delay,
    identify_recipient,
    schedule_letters,
)
from notifications.tasks import forget_recipients
from notifications.verification import find_message_differences, find_messages_in_flight
from shop.celery import app
from shop.events import OrderCancelled, OrderConfirmed

pytestmark = pytest.mark.django_db
LIMIT = 5
NOW = 1_800_000_000.0


def count_statuses(channel: str) -> dict[str, int]:
    """Return the number of messages of `channel` by status."""
    statuses = list(Message.objects.filter(channel=channel).values_list("status", flat=True))
    return {status: statuses.count(status) for status in set(statuses)}


def pass_time(seconds: float) -> None:
    """Move all letters into the past by `seconds`."""
    for recipient in Recipient.objects.all():
        recipient.times = [time - seconds for time in recipient.times]
        recipient.save()
    with connection.cursor() as cursor:
        cursor.execute("update notifications_recipient set last_at = last_at - make_interval(secs => %s)", [seconds])
        cursor.execute("update notifications_message set due_at = due_at - make_interval(secs => %s)", [seconds])


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_thirty_declined_orders_send_one_stranger_at_most_five_letters(shopper: Any, channel: str) -> None:
    for _ in range(30):
        shopper().hear(OrderCancelled, reason="payment_declined")
    shopper().send_all()
    assert 1 <= SandboxDelivery.objects.filter(channel=channel).count() <= LIMIT
    assert count_statuses(channel) == {"sent": LIMIT - RESERVED, "suppressed": 30 - LIMIT + RESERVED}
    assert Message.objects.filter(channel="shop", status="sent").count() == 30
    reasons = set(Message.objects.filter(status="suppressed").values_list("error", flat=True))
    assert reasons == {"limit: 5 letters per hour to one recipient"}
    assert find_messages_in_flight() == 0
    assert list(find_message_differences()) == []


def test_the_letters_of_a_confirmed_order_are_sent_after_strangers_used_the_address(shopper: Any) -> None:
    for _ in range(30):
        shopper().hear(OrderCancelled, reason="payment_declined")
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.hear(OrderCancelled, reason="cancelled_on_request")
    ada.send_all()
    assert ada.message("email").kind == "cancelled"
    assert set(Message.objects.filter(order_id=ada.order_id).values_list("status", flat=True)) == {"sent"}


def test_letters_of_confirmed_orders_beyond_the_limit_are_sent_later(shopper: Any) -> None:
    for _ in range(LIMIT + 1):
        shopper().hear(OrderConfirmed)
    shopper().send_all()
    assert count_statuses("email") == {"sent": LIMIT, "pending": 1}
    assert Message.objects.get(status="pending", channel="email").error == "limit: 5 letters per hour to one recipient"
    pass_time(HOUR_SECONDS + 1)
    shopper().send_all()
    assert count_statuses("email") == {"sent": LIMIT + 1}
    assert not Message.objects.exclude(error="").exists()


def test_the_limit_is_renewed_after_an_hour(shopper: Any) -> None:
    for _ in range(LIMIT):
        shopper().hear(OrderCancelled, reason="payment_declined")
    pass_time(HOUR_SECONDS + 1)
    ada = shopper()
    ada.hear(OrderCancelled, reason="payment_declined")
    assert ada.message("email").status == "pending"


def test_the_limit_can_be_set(shopper: Any, settings: Any) -> None:
    settings.LETTERS_PER_HOUR = 1
    ada, eve = shopper(), shopper()
    ada.hear(OrderCancelled, reason="payment_declined")
    eve.hear(OrderCancelled, reason="payment_declined")
    assert (ada.message("email").status, eve.message("email").status) == ("pending", "suppressed")


def test_other_recipients_are_not_affected(shopper: Any) -> None:
    for _ in range(LIMIT):
        shopper().hear(OrderCancelled, reason="payment_declined")
    eve = shopper(phone="+4915199999999")
    eve.contact.email = "eve@mail.example"
    eve.contact.save()
    eve.hear(OrderCancelled, reason="payment_declined")
    assert (eve.message("email").status, eve.message("sms").status) == ("pending", "pending")


@pytest.mark.parametrize(
    ("channel", "one", "other", "same"),
    [
        ("email", "ada@example.org", " ADA@Example.org ", True),
        ("email", "ada@example.org", "a.d.a+shop@example.org", True),
        ("email", "ada@example.org", "ada@example.com", False),
        ("email", "ada@example.org", "eve@example.org", False),
        ("sms", "+49 151 12345678", "0049-151-12345678", True),
        ("sms", "+49 151 12345678", "+49 151 12345679", False),
    ],
)
def test_spellings_of_one_address_are_one_recipient(channel: str, one: str, other: str, same: bool) -> None:
    assert (identify_recipient(channel, one) == identify_recipient(channel, other)) is same


def test_the_recipients_key_reveals_no_address_and_depends_on_the_secret_key(settings: Any) -> None:
    key = identify_recipient("email", "ada@example.org")
    assert len(key) == 64
    assert "ada" not in key
    settings.SECRET_KEY = "another"
    assert identify_recipient("email", "ada@example.org") != key


def test_no_hour_has_more_letters_than_the_limit() -> None:
    times: list[float] = []
    promised = [find_delay(times, NOW + turn * 60, proven=turn % 3 > 0) for turn in range(200)]
    granted = sorted(NOW + turn * 60 + delay for turn, delay in enumerate(promised) if delay is not None)
    assert len(granted) > LIMIT * 3
    assert all(later - earlier >= HOUR_SECONDS for earlier, later in zip(granted, granted[LIMIT:], strict=False))
    assert max(delay for delay in promised if delay is not None) <= LONGEST_DELAY_SECONDS


def test_a_letter_that_would_wait_too_long_is_suppressed() -> None:
    times: list[float] = []
    delays = [find_delay(times, NOW, proven=True) for _ in range(50)]
    assert delays[:6] == [0.0] * 5 + [HOUR_SECONDS]
    assert delays[-1] is None
    assert sum(delay is not None for delay in delays) == LIMIT * (1 + LONGEST_DELAY_SECONDS / HOUR_SECONDS)


@pytest.mark.django_db(transaction=True)
def test_concurrent_consumers_together_keep_the_limit() -> None:
    """Eight consumers write letters to the same two recipients, in opposite orders."""
    keys = [identify_recipient("email", name) for name in ("ada@example.org", "eve@example.org")]
    barrier = threading.Barrier(8)

    def write(number: int) -> list[float | None]:
        letters = [Letter(key, proven=True) for key in (keys if number % 2 else keys[::-1])]
        try:
            delays: list[float | None] = []
            for _ in range(5):
                barrier.wait(60)
                with transaction.atomic():
                    delays += schedule_letters(letters)
            return delays
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        delays = [delay for found in pool.map(write, range(8)) for delay in found]
    assert sum(delay == 0.0 for delay in delays) == 2 * LIMIT
    assert sum(delay is None for delay in delays) == 2 * (40 - 35)
    for recipient in Recipient.objects.all():
        times = sorted(recipient.times)
        assert all(later - earlier >= HOUR_SECONDS for earlier, later in zip(times, times[LIMIT:], strict=False))


def test_staff_find_suppressed_letters_and_send_them(shopper: Any, admin_client: Client, settings: Any) -> None:
    settings.LETTERS_PER_HOUR = 1
    shopper().hear(OrderCancelled, reason="payment_declined")
    ada = shopper()
    ada.hear(OrderCancelled, reason="payment_declined")
    url = reverse("admin:notifications_message_changelist")
    page = admin_client.get(url, {"status__exact": "suppressed"}).content.decode()
    assert "limit: 1 letters per hour to one recipient" in page
    answer = admin_client.post(
        url, {"action": "send_again", "_selected_action": str(ada.message("email").pk)}, follow=True
    )
    assert "1 messages will be sent again" in answer.content.decode()
    ada.send_all()
    assert ada.message("email").status == "sent"
    assert ada.message("sms").status == "suppressed"


def test_a_suppressed_letter_that_was_delivered_is_a_difference(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    Message.objects.filter(channel="email").update(status="suppressed")
    assert list(find_message_differences()) == [
        f"{ada.message('email')} of order {ada.order_id} is suppressed, but its email was delivered"
    ]


def test_an_erased_contact_needs_no_recipient(shopper: Any) -> None:
    ada = shopper()
    ada.erase()
    ada.hear(OrderConfirmed)
    assert ada.message("email").status == "pending"
    assert not Recipient.objects.exists()


def test_recipients_are_forgotten_an_hour_after_their_last_letter(shopper: Any) -> None:
    shopper().hear(OrderConfirmed)
    forget_recipients()
    assert Recipient.objects.count() == 2
    pass_time(HOUR_SECONDS + 1)
    forget_recipients()
    assert not Recipient.objects.exists()
    assert "notifications.tasks.forget_recipients" in {entry["task"] for entry in app.conf.beat_schedule.values()}


def test_a_crash_before_the_commit_counts_no_letter(shopper: Any) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        schedule_letters([Letter(uuid4().hex, proven=True)])
        raise ZeroDivisionError
    assert not Recipient.objects.exists()
    assert recipients.schedule_letters([]) == []
