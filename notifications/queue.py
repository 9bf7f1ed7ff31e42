"""The steps by which messages are sent: claim them, hand each to its provider, record how that went.

It is safe to die anywhere: what was not recorded is sent again under the same message id, which the provider, or the
reader's mail program, recognises.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from notifications.models import Message

logger = logging.getLogger(__name__)

#: How long a worker may hold messages. Sending must be over by then.
CLAIM_SECONDS = 30
#: The pauses double from 5 seconds to an hour: a mail server may be away for two hours before messages fail.
MAX_ATTEMPTS = 12
MAX_PAUSE_SECONDS = 3600

Status = Message.Status

_CLAIM = """
with due as (
    select id from notifications_message
    where status = 'pending' and due_at <= statement_timestamp()
      and (claimed_until is null or claimed_until < statement_timestamp())
    order by due_at limit %(limit)s for update skip locked
)
update notifications_message as message
set claimed_until = statement_timestamp() + make_interval(secs => %(seconds)s),
    due_at = statement_timestamp() + make_interval(secs => %(seconds)s), attempts = attempts + 1
from due where message.id = due.id
returning message.*
"""
# Those that lost their claim to another worker meanwhile are left as they are. The rows are locked in one order.
_RECORD = """
with told as (
    select * from unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::float8[])
        as told (id, claim, status, error, attempts, pause)
),
held as (
    select message.id from notifications_message as message join told on message.id = told.id
    where claimed_until = claim order by message.id for update of message
)
update notifications_message as message
set status = told.status, error = told.error, attempts = told.attempts, claimed_until = null,
    sent_at = case when told.status = 'sent' then statement_timestamp() end,
    due_at = statement_timestamp() + make_interval(secs => told.pause)
from held join told using (id) where message.id = held.id
"""


@dataclass(frozen=True)
class SendResult:
    """How sending a claimed message went: sent when there is no problem, else why not, and whether that is for good.

    What was not tried does not count as an attempt and is due again at once.
    """

    message: Message
    problem: str = ""
    for_good: bool = False
    tried: bool = True

    @property
    def status(self) -> Message.Status:
        """What becomes of the message."""
        if not self.tried:
            return Status.pending
        if not self.problem:
            return Status.sent
        return Status.failed if self.for_good or self.attempts >= MAX_ATTEMPTS else Status.pending

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return self.message.attempts - (not self.tried)

    @property
    def pause(self) -> float:
        """Seconds until it is tried again."""
        return min(5.0 * 2 ** max(self.attempts - 1, 0), MAX_PAUSE_SECONDS) if self.tried else 0.0


def claim_messages(limit: int) -> list[Message]:
    """Claim up to `limit` messages that wait to be sent and that nobody holds, longest due first."""
    return list(Message.objects.raw(_CLAIM, {"limit": limit, "seconds": CLAIM_SECONDS}))


def record_results(results: Sequence[SendResult]) -> None:
    """Write down how sending went, and give the claims back. A worker that slept past its claim records nothing."""
    rows = [
        (told.message.pk, told.message.claimed_until, told.status, told.problem[:200], told.attempts, told.pause)
        for told in results
    ]
    if not rows:
        return
    for told in results:
        if told.problem:
            about = {"message_id": told.message.pk, "status": told.status, "why": told.problem}
            logger.warning("message not sent", extra=about)
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [list(column) for column in zip(*rows, strict=True)])
        if cursor.rowcount < len(rows):
            logger.warning("claims lost", extra={"messages": len(rows) - cursor.rowcount})


def retry_failed(messages: QuerySet[Message]) -> int:
    """Make the failed ones of `messages` wait to be sent again, with all their attempts, and return their number."""
    with transaction.atomic():
        chosen = messages.order_by("pk").select_for_update().filter(status=Status.failed)
        ids = list(chosen.values_list("pk", flat=True))
        Message.objects.filter(pk__in=ids).update(status=Status.pending, attempts=0, claimed_until=None, due_at=Now())
    return len(ids)
