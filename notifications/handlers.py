"""What customers are told when their orders change: the messages are written down here and sent by Celery."""

from collections.abc import Iterator, Sequence

from django.db.models.functions import Now

from notifications.models import Message
from notifications.tasks import send_messages
from notifications.texts import write_texts
from relay.consumer import Consumer
from shop.contacts.models import Contact
from shop.doorbell import ring
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped

consumer = Consumer("notifications")
Channel, Kind, Status = Message.Channel, Message.Kind, Message.Status


@consumer.on(OrderConfirmed, many=True)
def tell_confirmed(events: Sequence[OrderConfirmed]) -> None:
    """Tell the customers that their orders will be shipped."""
    write_messages(events, Kind.confirmed)


@consumer.on(OrderShipped, many=True)
def tell_shipped(events: Sequence[OrderShipped]) -> None:
    """Tell the customers that their parcels are on their way."""
    write_messages(events, Kind.shipped)


@consumer.on(OrderDelivered, many=True)
def tell_delivered(events: Sequence[OrderDelivered]) -> None:
    """Tell the customers that their parcels have arrived."""
    write_messages(events, Kind.delivered)


@consumer.on(OrderCancelled, many=True)
def tell_cancelled(events: Sequence[OrderCancelled]) -> None:
    """Tell the customers that nothing will come, and why."""
    write_messages(events, Kind.cancelled)


def write_messages(
    events: Sequence[OrderConfirmed | OrderShipped | OrderDelivered | OrderCancelled], kind: Message.Kind
) -> None:
    """Write an e-mail, a message in the shop and, when the contact has a telephone, an SMS for each; ring for the
    senders. The message in the shop is sent by being there.
    """
    contacts = Contact.objects.filter(pk__in=[event.contact_id for event in events]).exclude(phone="")
    with_phone = set(contacts.values_list("pk", flat=True))
    Message.objects.bulk_create(
        message for event in events for message in make_messages(event, kind, has_phone=event.contact_id in with_phone)
    )
    ring(send_messages)


def make_messages(
    event: OrderConfirmed | OrderShipped | OrderDelivered | OrderCancelled, kind: Message.Kind, *, has_phone: bool
) -> Iterator[Message]:
    """Yield what is to be said of the event, through each channel."""
    texts = write_texts(kind, event.number, event.reason if isinstance(event, OrderCancelled) else "")
    for channel in [Channel.email, Channel.shop, *([Channel.sms] if has_phone else [])]:
        yield Message(
            order_id=event.order_id,
            event_id=event.event_id,
            contact_id=event.contact_id,
            kind=kind,
            channel=channel,
            subject=texts.subject,
            body=texts.body if channel == Channel.email else texts.short,
            status=Status.sent if channel == Channel.shop else Status.pending,
            sent_at=Now() if channel == Channel.shop else None,
        )
