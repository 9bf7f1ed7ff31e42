"""The steps by which a message is sent: claim it, hand it to the provider, record how that went.

It is safe to die anywhere: what was not recorded is sent again under the same message id, which the provider, or the
reader's mail program, recognises.
"""

import logging
from datetime import timedelta
from smtplib import SMTPResponseException
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from notifications.models import Message

logger = logging.getLogger(__name__)

#: How long a worker may hold a message. Sending must be over by then.
CLAIM_SECONDS = 30
#: After that the sweep rings for a message whose doorbell nobody heard.
GRACE_SECONDS = 3
#: The pauses double from 5 seconds to an hour: a mail server may be away for two hours before messages fail.
MAX_ATTEMPTS = 12
MAX_PAUSE_SECONDS = 3600

Status = Message.Status


def select_free() -> QuerySet[Message]:
    """The messages that wait to be sent and that no worker holds."""
    return Message.objects.filter(Q(claimed_until=None) | Q(claimed_until__lt=Now()), status=Status.pending)


@transaction.atomic
def claim_message(message_id: UUID) -> Message | None:
    """Claim the message for one attempt; None when it is sent, failed, or another worker's."""
    message = select_free().select_for_update().filter(pk=message_id).first()
    if message is not None:
        claimed_until = Now() + timedelta(seconds=CLAIM_SECONDS)
        Message.objects.filter(pk=message.pk).update(claimed_until=claimed_until, attempts=F("attempts") + 1)
        message.refresh_from_db(fields=["claimed_until", "attempts"])
    return message


def record_sent(message: Message) -> None:
    """Write down that the claimed message has left the house."""
    update_claimed(message, status=Status.sent, sent_at=Now(), error="")


def record_failure(message: Message, reason: str, *, forever: bool = False) -> None:
    """Write down why an attempt failed. The sweep tries again after a growing pause, until MAX_ATTEMPTS."""
    failed = forever or message.attempts >= MAX_ATTEMPTS
    pause = timedelta(seconds=min(5 * 2 ** (message.attempts - 1), MAX_PAUSE_SECONDS))
    status = Status.failed if failed else Status.pending
    update_claimed(message, status=status, error=reason[:200], due_at=Now() + pause)
    logger.warning("message not sent", extra={"message_id": message.pk, "status": status, "why": reason})


def update_claimed(message: Message, **changes: object) -> None:
    """Change the message and give its claim back, unless the claim was lost to another worker meanwhile."""
    claimed = Message.objects.filter(pk=message.pk, claimed_until=message.claimed_until)
    if not claimed.update(claimed_until=None, **changes):
        logger.warning("claim lost", extra={"message_id": message.pk})


def describe_failure(error: Exception) -> str:
    """Say what went wrong without the error's own text: providers like to quote the address there."""
    name = type(error).__name__
    return f"{name} {error.smtp_code}" if isinstance(error, SMTPResponseException) else name


def retry_failed(messages: QuerySet[Message]) -> list[UUID]:
    """Make the failed ones of `messages` wait to be sent again, with all their attempts, and return their ids."""
    with transaction.atomic():
        chosen = messages.order_by("pk").select_for_update().filter(status=Status.failed)
        ids = list(chosen.values_list("pk", flat=True))
        Message.objects.filter(pk__in=ids).update(status=Status.pending, attempts=0, claimed_until=None, due_at=Now())
    return ids


def take_due(limit: int) -> list[UUID]:
    """Return up to `limit` messages that wait to be sent and that nobody is working on, longest due first.

    Each is due again only after CLAIM_SECONDS, so that a long queue is not filled with the same ones.
    """
    with transaction.atomic():
        due = select_free().filter(due_at__lt=Now()).order_by("due_at").select_for_update(skip_locked=True)
        ids = list(due.values_list("pk", flat=True)[:limit])
        Message.objects.filter(pk__in=ids).update(due_at=Now() + timedelta(seconds=CLAIM_SECONDS))
    return ids
