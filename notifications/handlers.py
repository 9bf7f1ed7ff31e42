"""Handlers that store messages to customers when their orders change. Celery workers send the messages."""

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from notifications.models import Message
from notifications.recipients import Letter, describe_limit, identify_recipient, schedule_letters
from notifications.tasks import send_messages
from notifications.texts import write_texts
from relay import Consumer
from relay.arrays import to_array
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped
from shop.workqueue.doorbell import ring

# Letters are less urgent than pages, so a longer pace gives fewer and larger batches.
consumer = Consumer("notifications", pace_ms=300)
Channel, Kind, Status = Message.Channel, Message.Kind, Message.Status
logger = logging.getLogger(__name__)

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
insert into notifications_message (id, order_id, event_id, contact_id, kind, channel, subject, body, status, error,
                                   due_at, attempts, sent_at)
select id, order_id, event_id, contact_id, kind, channel, subject, body, status, error,
       statement_timestamp() + make_interval(secs => delay), 0, case status when 'sent' then statement_timestamp() end
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::float8[])
    as message (id, order_id, event_id, contact_id, kind, channel, subject, body, status, error, delay)
"""
_READ_CONTACTS = """
select id, email, case when %s then phone else '' end from contacts_contact where id = any(%s::uuid[])
"""
_READ_CONFIRMED = """
select order_id from notifications_message
where order_id = any(%s::uuid[]) and kind = 'confirmed' and channel = 'shop'
"""


@consumer.on(*KINDS, many=True)
def write_messages(events: Sequence[Announced]) -> None:
    """Store an e-mail, a message in the shop and, if the contact has a telephone, an SMS for each event; then ring.

    Without an SMS provider no SMS is stored. Letters beyond the limit of their recipient wait or are suppressed
    (recipients.py).
    """
    with connection.cursor() as cursor:
        cursor.execute(_READ_CONTACTS, [bool(settings.SMS_PROVIDER), to_array(event.contact_id for event in events)])
        contacts = {contact_id: (email, phone) for contact_id, email, phone in cursor.fetchall()}
        drafts = [
            draft for event in events for draft in draft_messages(event, *contacts.get(event.contact_id, ("", "")))
        ]
        rows = [(*draft.columns, *state) for draft, state in zip(drafts, find_states(drafts), strict=True)]
        cursor.execute(_WRITE, [to_array(column) for column in zip(*rows, strict=True)])
    ring(send_messages)


class Draft(NamedTuple):
    """A message about the order of `event`. `address` is empty in the shop, and if the contact was erased."""

    event: Announced
    address: str
    channel: str
    columns: tuple[object, ...]


def draft_messages(event: Announced, email: str, phone: str) -> Iterator[Draft]:
    """Yield a message for each channel."""
    kind = KINDS[type(event)]
    texts = write_texts(kind, event.number, event.reason if isinstance(event, OrderCancelled) else "")
    for channel, address in [(Channel.email, email), (Channel.shop, ""), *([(Channel.sms, phone)] if phone else [])]:
        body = texts.body if channel == Channel.email else texts.short
        about = (event.order_id, event.event_id, event.contact_id, kind.value, channel.value)
        yield Draft(event, address, channel.value, (uuid7(), *about, texts.subject, body))


def find_states(drafts: Sequence[Draft]) -> list[tuple[str, str, float]]:
    """Return status, error and delay in seconds of each draft. Suppressed letters are logged."""
    cancelled = {draft.event.order_id for draft in drafts if isinstance(draft.event, OrderCancelled)}
    unproven = cancelled - find_confirmed(cancelled) if cancelled else set()
    letters = [
        Letter(identify_recipient(draft.channel, draft.address), draft.event.order_id not in unproven)
        for draft in drafts
        if draft.address
    ]
    delays = iter(schedule_letters(letters))
    states = [describe_state(draft, next(delays) if draft.address else 0.0) for draft in drafts]
    if suppressed := sum(status == Status.suppressed for status, *_ in states):
        logger.warning("letters suppressed", extra={"letters": suppressed, "why": describe_limit()})
    return states


def describe_state(draft: Draft, delay: float | None) -> tuple[str, str, float]:
    """Return status, error and delay in seconds of a draft whose letter has the `delay`, or None if suppressed."""
    if draft.channel == Channel.shop:
        return Status.sent.value, "", 0.0
    if delay is None:
        return Status.suppressed.value, describe_limit(), 0.0
    return Status.pending.value, describe_limit() if delay else "", delay


def find_confirmed(orders: Collection[UUID]) -> set[UUID]:
    """Return the confirmed orders among `orders`. Their OrderConfirmed came before, so its message is stored."""
    with connection.cursor() as cursor:
        cursor.execute(_READ_CONFIRMED, [to_array(orders)])
        return {order_id for (order_id,) in cursor.fetchall()}
