"""verify names every difference between the messages and what was delivered."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from notifications.mailbox import SandboxSms
from notifications.models import Message, SandboxDelivery
from notifications.verification import find_message_differences, find_messages_in_flight
from shop.events import OrderConfirmed

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(shopper: Any) -> Any:
    """A shopper whose mail and SMS were sent."""
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    return ada


def test_what_was_sent_was_delivered(ada: Any) -> None:
    assert list(find_message_differences()) == []
    assert find_messages_in_flight() == 0


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_a_delivery_that_is_gone_is_named(ada: Any, channel: str) -> None:
    SandboxDelivery.objects.filter(channel=channel).delete()
    message = ada.message(channel)
    assert list(find_message_differences()) == [
        f"message {message.pk} of order {ada.order_id} is sent, but no {channel} was delivered"
    ]


def test_a_message_called_failed_that_was_delivered_is_named(ada: Any) -> None:
    Message.objects.filter(channel="sms").update(status="failed")
    [difference] = find_message_differences()
    assert difference == f"message {ada.message('sms').pk} of order {ada.order_id} is failed, but its sms was delivered"


def test_a_delivery_without_a_message_is_named(ada: Any) -> None:
    stranger = str(uuid4())
    SandboxSms().send(stranger, "+49", "who is this?")
    assert list(find_message_differences()) == [f"the sms delivered as {stranger} belongs to no message"]


def test_an_event_told_twice_through_a_channel_is_named(ada: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("alter table notifications_message drop constraint message_once_per_channel")
    copy = ada.message("shop")
    copy.pk = uuid4()
    copy.save(force_insert=True)
    assert list(find_message_differences()) == [f"event {copy.event_id} has 2 messages for channel shop, not one"]


def test_what_waits_is_counted_apart(shopper: Any) -> None:
    shopper().hear(OrderConfirmed)
    assert list(find_message_differences()) == []
    assert find_messages_in_flight() == 2


def test_mail_that_went_out_for_real_is_not_looked_for(ada: Any, settings: Any) -> None:
    SandboxDelivery.objects.all().delete()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.SMS_PROVIDER = "somewhere.else.Sms"
    assert list(find_message_differences()) == []
