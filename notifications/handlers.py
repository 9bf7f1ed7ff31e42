"""Handlers that store messages to customers when their orders change. Celery workers send the messages."""

from collections.abc import Iterator, Sequence

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from notifications.models import Message
from notifications.tasks import send_messages
from notifications.texts import write_texts
from relay import Consumer
from relay.arrays import to_array
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped
from shop.workqueue.doorbell import ring

# Letters are less urgent than pages, so a longer pace gives fewer and larger batches.
consumer = Consumer("notifications", pace_ms=200)
Channel, Kind = Message.Channel, Message.Kind


Announced = OrderConfirmed | OrderShipped | OrderDelivered | OrderCancelled
#: The kind of message for each class of event.
KINDS: dict[type[Announced], Message.Kind] = {
    OrderConfirmed: Kind.confirmed,
    OrderShipped: Kind.shipped,
    OrderDelivered: Kind.delivered,
    OrderCancelled: Kind.cancelled,
}
# A message in the shop needs no delivery, so it is stored as sent.
_WRITE = """
insert into notifications_message (id, order_id, event_id, contact_id, kind, channel, subject, body, status, attempts,
                                   error, sent_at)
select *, case channel when 'shop' then 'sent' else 'pending' end, 0, '',
       case channel when 'shop' then statement_timestamp() end
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[])
    as message (id, order_id, event_id, contact_id, kind, channel, subject, body)
"""


@consumer.on(*KINDS, many=True)
def write_messages(events: Sequence[Announced]) -> None:
    """Store an e-mail, a message in the shop and, if the contact has a telephone, an SMS for each event; then ring.

    Without an SMS provider no SMS is stored.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select id from contacts_contact where id = any(%s::uuid[]) and phone <> '' and %s",
            [to_array(event.contact_id for event in events), bool(settings.SMS_PROVIDER)],
        )
        with_phone = {contact_id for (contact_id,) in cursor.fetchall()}
        rows = [row for event in events for row in make_rows(event, has_phone=event.contact_id in with_phone)]
        cursor.execute(_WRITE, [to_array(column) for column in zip(*rows, strict=True)])
    ring(send_messages)


def make_rows(event: Announced, *, has_phone: bool) -> Iterator[tuple[object, ...]]:
    """Yield one row of the table of messages for each channel."""
    kind = KINDS[type(event)]
    texts = write_texts(kind, event.number, event.reason if isinstance(event, OrderCancelled) else "")
    for channel in [Channel.email, Channel.shop, *([Channel.sms] if has_phone else [])]:
        body = texts.body if channel == Channel.email else texts.short
        about = (event.order_id, event.event_id, event.contact_id, kind.value, channel.value)
        yield (uuid7(), *about, texts.subject, body)
