"""What customers are told when their order changes: the messages are written down here and sent by Celery."""

from datetime import timedelta

from django.db.models.functions import Now

from notifications.models import Message
from notifications.sending import GRACE_SECONDS
from notifications.tasks import send_message
from notifications.texts import write_texts
from relay.consumer import Consumer
from shop.contacts.models import Contact
from shop.doorbell import ring
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped

consumer = Consumer("notifications")
Channel, Kind, Status = Message.Channel, Message.Kind, Message.Status


@consumer.on(OrderConfirmed)
def tell_confirmed(event: OrderConfirmed) -> None:
    """Tell the customer that the order will be shipped."""
    write_messages(event, Kind.confirmed)


@consumer.on(OrderShipped)
def tell_shipped(event: OrderShipped) -> None:
    """Tell the customer that the parcel is on its way."""
    write_messages(event, Kind.shipped)


@consumer.on(OrderDelivered)
def tell_delivered(event: OrderDelivered) -> None:
    """Tell the customer that the parcel has arrived."""
    write_messages(event, Kind.delivered)


@consumer.on(OrderCancelled)
def tell_cancelled(event: OrderCancelled) -> None:
    """Tell the customer that nothing will come, and why."""
    write_messages(event, Kind.cancelled, event.reason)


def write_messages(
    event: OrderConfirmed | OrderShipped | OrderDelivered | OrderCancelled, kind: Message.Kind, reason: str = ""
) -> None:
    """Write an e-mail, a message in the shop and, when the contact has a telephone, an SMS; ring for the senders.

    The message in the shop is sent by being there.
    """
    texts = write_texts(kind, event.number, reason)
    has_phone = Contact.objects.filter(pk=event.contact_id).exclude(phone="").exists()
    channels = [Channel.email, Channel.shop, *([Channel.sms] if has_phone else [])]
    messages = [
        Message(
            order_id=event.order_id,
            event_id=event.event_id,
            contact_id=event.contact_id,
            kind=kind,
            channel=channel,
            subject=texts.subject,
            body=texts.body if channel == Channel.email else texts.short,
            status=Status.sent if channel == Channel.shop else Status.pending,
            sent_at=Now() if channel == Channel.shop else None,
            due_at=Now() + timedelta(seconds=GRACE_SECONDS),
        )
        for channel in channels
    ]
    Message.objects.bulk_create(messages)
    for message in messages:
        if message.status == Status.pending:
            ring(send_message, str(message.pk))
