"""Local replacements of a mail server and an SMS provider. A staff page shows the delivered messages."""

from collections.abc import Sequence
from email.utils import make_msgid

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection

from notifications.models import Message


class EmailBackend(BaseEmailBackend):
    """A mail backend that delivers into the local mailbox, once per Message-ID."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Deliver the messages and return their number."""
        for mail in email_messages:
            header = str(mail.extra_headers.get("Message-ID") or make_msgid())
            message_id = header.strip("<>").partition("@")[0]
            put_into_mailbox(Message.Channel.email, message_id, str(mail.body), subject=str(mail.subject))
        return len(email_messages)


class SandboxSms:
    """An SMS provider that delivers into the local mailbox, once per message id."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Deliver `text` without storing the telephone number."""
        put_into_mailbox(Message.Channel.sms, message_id, text)


def put_into_mailbox(channel: Message.Channel, message_id: str, body: str, *, subject: str = "") -> None:
    """Store a delivery unless its message id is already known.

    The commit does not wait for the disk. The shop's own record follows later in the same write-ahead log, so a crash
    cannot keep the record and lose the delivery.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "with hastily as (select set_config('synchronous_commit', 'off', true))"
            " insert into notifications_sandboxdelivery (channel, message_id, subject, body)"
            " select %s, %s, %s, %s from hastily on conflict (message_id) do nothing",
            [channel, message_id, subject, body],
        )
