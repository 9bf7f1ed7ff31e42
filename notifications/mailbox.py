"""Stand-ins for mail and SMS on this machine: what they deliver can be read on a staff page."""

from collections.abc import Sequence
from email.utils import make_msgid

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection

from notifications.models import Message


class EmailBackend(BaseEmailBackend):
    """Delivers e-mail into the mailbox, each Message-ID once."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Deliver every message and return their number."""
        for mail in email_messages:
            header = str(mail.extra_headers.get("Message-ID") or make_msgid())
            message_id = header.strip("<>").partition("@")[0]
            put_into_mailbox(Message.Channel.email, message_id, str(mail.body), subject=str(mail.subject))
        return len(email_messages)


class SandboxSms:
    """Delivers SMS into the mailbox, each message id once."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Deliver `text`; the number is not kept."""
        put_into_mailbox(Message.Channel.sms, message_id, text)


def put_into_mailbox(channel: Message.Channel, message_id: str, body: str, *, subject: str = "") -> None:
    """Keep what was sent. A message id that is there already is passed over.

    Nobody waits for the disk: the shop's own record of it stands later in the same write-ahead log, so that a crash
    can't keep the record and lose the delivery.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "with hastily as (select set_config('synchronous_commit', 'off', true))"
            " insert into notifications_sandboxdelivery (channel, message_id, subject, body)"
            " select %s, %s, %s, %s from hastily on conflict (message_id) do nothing",
            [channel, message_id, subject, body],
        )
