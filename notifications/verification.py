"""The verification that each message was sent exactly once. Differences are sentences that name message and order."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import CharField, Count, Exists, OuterRef, Q
from django.db.models.functions import Cast, Now

from notifications.models import Message, SandboxDelivery

Channel, Status = Message.Channel, Message.Status


def find_messages_in_flight() -> int:
    """Return the number of messages that a worker will send now or retry.

    A message that waits for the next free time of its recipient is not in flight: the wait can take hours.
    """
    scheduled = Q(attempts=0, due_at__gt=Now() + timedelta(minutes=1))
    return Message.objects.filter(status=Status.pending).exclude(scheduled).count()


def find_message_differences() -> Iterator[str]:
    """Yield a sentence for each difference between messages and local deliveries, for channels delivered locally."""
    for row in Message.objects.order_by().values("event_id", "channel").annotate(times=Count("pk")).filter(times__gt=1):
        yield f"event {row['event_id']} has {row['times']} messages for channel {row['channel']}, not one"
    for channel in sandbox_channels():
        yield from find_undelivered(channel)
        yield from find_unexplained(channel)


def sandbox_channels() -> list[Message.Channel]:
    """Return the channels that the local mailbox delivers, according to the settings."""
    used = {
        Channel.email: settings.EMAIL_BACKEND == "notifications.mailbox.EmailBackend",
        Channel.sms: settings.SMS_PROVIDER == "notifications.mailbox.SandboxSms",
    }
    return [channel for channel, is_used in used.items() if is_used]


def find_undelivered(channel: Message.Channel) -> Iterator[str]:
    """Yield sent messages without a delivery, and failed or suppressed messages with a delivery."""
    delivered = Exists(SandboxDelivery.objects.filter(channel=channel, message_id=Cast(OuterRef("pk"), CharField())))
    messages = Message.objects.filter(channel=channel)
    for message in messages.filter(~delivered, status=Status.sent):
        yield f"{message} of order {message.order_id} is sent, but no {channel} was delivered"
    for message in messages.filter(delivered, status__in=[Status.failed, Status.suppressed]):
        yield f"{message} of order {message.order_id} is {message.status}, but its {channel} was delivered"


def find_unexplained(channel: Message.Channel) -> Iterator[str]:
    """Yield deliveries with the id of a message that does not exist."""
    message = Message.objects.filter(channel=channel).annotate(key=Cast("pk", CharField()))
    explained = Exists(message.filter(key=OuterRef("message_id")))
    for delivery in SandboxDelivery.objects.filter(~explained, channel=channel):
        if is_message_id(delivery.message_id):
            yield f"the {channel} delivered as {delivery.message_id} belongs to no message"


def is_message_id(key: str) -> bool:
    """Return whether `key` can be a message's id. Django sends other mail with other Message-IDs."""
    try:
        UUID(key)
    except ValueError:
        return False
    return True
