"""The queue of messages: claim due messages before sending, and record the results afterwards.

A worker may die at any point. The next worker sends an unrecorded message again with the same message id, by which the
SMS provider, or the recipient's mail program, can recognise a duplicate.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from notifications.models import Message

logger = logging.getLogger(__name__)

#: Duration of a claim in seconds. Sending must end within it.
CLAIM_SECONDS = 30
#: The pauses between attempts double from 5 seconds to an hour, so messages survive an outage of two hours.
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
# A message whose claim was lost to another worker stays unchanged. Rows are locked in order of id to avoid deadlocks.
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
    """The result of sending a claimed message. An empty `problem` means sent; `for_good` means that a retry is useless.

    A message with `tried` false is due again at once and its attempt does not count.
    """

    message: Message
    problem: str = ""
    for_good: bool = False
    tried: bool = True

    @property
    def status(self) -> Message.Status:
        """Return the new status of the message."""
        if not self.tried:
            return Status.pending
        if not self.problem:
            return Status.sent
        return Status.failed if self.for_good or self.attempts >= MAX_ATTEMPTS else Status.pending

    @property
    def attempts(self) -> int:
        """Return the number of counted attempts."""
        return self.message.attempts - (not self.tried)

    @property
    def pause(self) -> float:
        """Return the time in seconds until the message is due again."""
        return min(5.0 * 2 ** max(self.attempts - 1, 0), MAX_PAUSE_SECONDS) if self.tried else 0.0


def claim_messages(limit: int) -> list[Message]:
    """Claim and return at most `limit` due messages that no worker holds, longest due first."""
    return list(Message.objects.raw(_CLAIM, {"limit": limit, "seconds": CLAIM_SECONDS}))


def record_results(results: Sequence[SendResult]) -> None:
    """Store the results and release the claims. The result of a message whose claim has ended is dropped."""
    rows = [
        (sent.message.pk, sent.message.claimed_until, sent.status, sent.problem[:200], sent.attempts, sent.pause)
        for sent in results
    ]
    if not rows:
        return
    for sent in results:
        if sent.problem:
            about = {"message_id": sent.message.pk, "status": sent.status, "why": sent.problem}
            logger.warning("message not sent", extra=about)
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [list(column) for column in zip(*rows, strict=True)])
        if cursor.rowcount < len(rows):
            logger.warning("claims lost", extra={"messages": len(rows) - cursor.rowcount})


def send_again(messages: QuerySet[Message]) -> int:
    """Queue the failed and suppressed messages among `messages`, with all their attempts. Return their number."""
    with transaction.atomic():
        chosen = messages.order_by("pk").select_for_update().filter(status__in=[Status.failed, Status.suppressed])
        ids = list(chosen.values_list("pk", flat=True))
        Message.objects.filter(pk__in=ids).update(status=Status.pending, attempts=0, claimed_until=None, due_at=Now())
    return len(ids)
