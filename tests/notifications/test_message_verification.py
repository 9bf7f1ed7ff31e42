"""The verification of messages names each difference between messages and local deliveries."""

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
    """Return a shopper whose e-mail and SMS were sent."""
    ada = shopper()
    ada.hear(OrderConfirmed)
    ada.send_all()
    return ada


def test_sent_messages_with_deliveries_have_no_differences(ada: Any) -> None:
    assert list(find_message_differences()) == []
    assert find_messages_in_flight() == 0


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_a_missing_delivery_is_named(ada: Any, channel: str) -> None:
    SandboxDelivery.objects.filter(channel=channel).delete()
    message = ada.message(channel)
    assert list(find_message_differences()) == [
        f"message {message.pk} of order {ada.order_id} is sent, but no {channel} was delivered"
    ]


def test_a_failed_message_with_a_delivery_is_named(ada: Any) -> None:
    Message.objects.filter(channel="sms").update(status="failed")
    [difference] = find_message_differences()
    assert difference == f"message {ada.message('sms').pk} of order {ada.order_id} is failed, but its sms was delivered"


def test_a_delivery_without_a_message_is_named(ada: Any) -> None:
    stranger = str(uuid4())
    SandboxSms().send(stranger, "+49", "who is this?")
    assert list(find_message_differences()) == [f"the sms delivered as {stranger} belongs to no message"]


def test_an_event_with_two_messages_in_a_channel_is_named(ada: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("alter table notifications_message drop constraint message_once_per_channel")
    copy = ada.message("shop")
    copy.pk = uuid4()
    copy.save(force_insert=True)
    assert list(find_message_differences()) == [f"event {copy.event_id} has 2 messages for channel shop, not one"]


def test_pending_messages_are_counted_and_not_compared(shopper: Any) -> None:
    shopper().hear(OrderConfirmed)
    assert list(find_message_differences()) == []
    assert find_messages_in_flight() == 2


def test_mail_to_a_real_server_is_not_compared(ada: Any, settings: Any) -> None:
    SandboxDelivery.objects.all().delete()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.SMS_PROVIDER = "somewhere.else.Sms"
    assert list(find_message_differences()) == []
