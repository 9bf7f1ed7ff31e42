"""The messages that notifications stores when an order changes: recipients, channels and texts."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from notifications.handlers import consumer, write_messages
from notifications.models import Message, SandboxDelivery
from notifications.texts import OTHER_REASON, REASONS, write_texts
from orders.lifecycle.saga import TABLE
from relay.models import Outbox
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped

pytestmark = pytest.mark.django_db
EVENTS: list[tuple[type[Any], dict[str, str]]] = [
    (OrderConfirmed, {}),
    (OrderShipped, {}),
    (OrderDelivered, {}),
    (OrderCancelled, {"reason": "out_of_stock"}),
]


@pytest.mark.parametrize(("event_class", "fields"), EVENTS)
def test_each_change_has_a_message_in_every_channel(
    shopper: Any, event_class: type[Any], fields: dict[str, str]
) -> None:
    ada = shopper()
    event_id = ada.hear(event_class, **fields)
    messages = Message.objects.filter(event_id=event_id).order_by("channel")
    kind = event_class.__name__.removeprefix("Order").lower()
    assert list(messages.values_list("channel", "status", "kind")) == [
        ("email", "pending", kind),
        ("shop", "sent", kind),
        ("sms", "pending", kind),
    ]
    assert all("FP-1001" in message.subject and "FP-1001" in message.body for message in messages)
    assert ada.message("shop").sent_at is not None


def test_without_a_telephone_there_is_no_sms(shopper: Any) -> None:
    shopper(phone="").hear(OrderConfirmed)
    assert set(Message.objects.values_list("channel", flat=True)) == {"email", "shop"}


@pytest.mark.parametrize(
    "reason", ["out_of_stock", "payment_declined", "cancelled_on_request", "cancelled_by_staff", "deadline_passed"]
)
def test_a_cancellation_gives_the_reason_in_plain_words(shopper: Any, reason: str) -> None:
    ada = shopper()
    ada.hear(OrderCancelled, reason=reason)
    for channel in ("email", "sms", "shop"):
        body = ada.message(channel).body
        assert REASONS[reason] in body
        assert reason not in body


def test_a_cancellation_explains_the_refund_for_each_possible_payment_state() -> None:
    sentences = {
        "authorized": "If your bank has only blocked the amount, we release it",
        "captured": "If we have already charged the amount, we refund all of it",
    }
    cancellations = {
        (state.payment, decision.reason)
        for (state, _), decision in TABLE.items()
        if decision.publish == "OrderCancelled" and state.payment in sentences
    }
    assert ("captured", "cancelled_on_request") in cancellations
    for payment, reason in cancellations:
        assert sentences[payment] in write_texts(Message.Kind.cancelled, "FP-1001", reason).body


def test_an_unknown_reason_is_not_shown_to_customers() -> None:
    texts = write_texts(Message.Kind.cancelled, "FP-1001", "E_4711_internal")
    assert OTHER_REASON in texts.body
    assert "4711" not in texts.body + texts.short + texts.subject


@pytest.mark.parametrize("kind", Message.Kind.values)
def test_the_texts_are_plain_and_an_sms_is_short(kind: str, settings: Any) -> None:
    settings.SHOP_NAME = "Fjord & Pine"
    texts = write_texts(Message.Kind(kind), "FP-1001", "payment_declined")
    assert "&amp;" not in texts.body + texts.short
    assert texts.body.startswith("Hello,")
    assert "{" not in texts.body + texts.short + texts.subject
    assert "\n" not in texts.short + texts.subject
    assert len(texts.short) <= 160


def test_a_transaction_with_many_messages_rings_once(
    shopper: Any, rung: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        shopper().hear(OrderConfirmed)
        shopper().hear(OrderShipped)
    assert rung == ["send_messages"]


def test_a_batch_of_events_uses_the_channels_of_each_contact(shopper: Any) -> None:
    ada, without_phone = shopper(), shopper(phone="")
    write_messages(
        [
            OrderConfirmed(
                order_id=who.order_id, number=number, contact_id=who.contact.pk, currency="EUR", total=1, units=1
            )
            for who, number in [(ada, "FP-1"), (without_phone, "FP-2")]
        ]
    )
    for who, number, channels in [(ada, "FP-1", ["email", "shop", "sms"]), (without_phone, "FP-2", ["email", "shop"])]:
        messages = Message.objects.filter(order_id=who.order_id).order_by("channel")
        assert [message.channel for message in messages] == channels
        assert all(number in message.body for message in messages)


def test_an_event_has_at_most_one_message_per_channel(shopper: Any) -> None:
    ada = shopper()
    ada.hear(OrderConfirmed)
    again = ada.message("email")
    again.pk = None
    with pytest.raises(IntegrityError, match="message_once_per_channel"), transaction.atomic():
        again.save(force_insert=True)


def test_no_personal_data_is_in_messages_events_or_task_arguments(
    shopper: Any, rung: list[str], caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    caplog.set_level("DEBUG")
    with django_capture_on_commit_callbacks(execute=True):
        ada = shopper()
        for event_class, fields in EVENTS:
            ada.hear(event_class, **fields)
    ada.send_all()
    assert SandboxDelivery.objects.count() == 8
    rows = [*Message.objects.values(), *SandboxDelivery.objects.values(), *Outbox.objects.values("body")]
    everything = str(rows) + str(rung) + "".join(f"{vars(record)}" for record in caplog.records)
    for planted in ("Planted", "planted", "15112345678", "98765"):
        assert planted not in everything


def test_notifications_subscribes_only_to_orders() -> None:
    assert consumer.topics == ["shop.orders"]
