"""Providers: e-mail goes through Django's mail backend, SMS through the provider in settings.SMS_PROVIDER."""

from contextlib import suppress
from email.utils import parseaddr
from functools import cache, cached_property
from smtplib import SMTPResponseException
from typing import Protocol, cast

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from notifications.models import Message
from shop.contacts.models import Contact

#: Timeout of a mail server, in seconds.
SMTP_TIMEOUT_SECONDS = 10


class Undeliverable(Exception):
    """The message has no recipient, so a retry would fail too."""


class SmsProvider(Protocol):
    """A provider of text messages. A repeated message id is not sent again."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Send `text` to the telephone number `to`.

        :raises Exception: any error of the provider; it is then unknown whether the text was sent.
        """


class Providers:
    """The providers of one batch. The connection to the mail server opens with the first e-mail and stays open."""

    def __init__(self) -> None:
        self._mail: BaseEmailBackend | None = None

    @cached_property
    def _sms(self) -> SmsProvider:
        return cast(SmsProvider, import_string(settings.SMS_PROVIDER)())

    def send(self, message: Message, contact: Contact | None) -> None:
        """Send one message.

        :raises Undeliverable: the contact is erased or has no telephone number.
        :raises Exception: any error of the provider; it is then unknown whether the message was sent.
        """
        if contact is None:
            raise Undeliverable("contact erased")
        if message.channel == Message.Channel.sms:
            if not contact.phone:
                raise Undeliverable("no telephone number")
            self._sms.send(str(message.pk), contact.phone, message.body)
            return
        if self._mail is None:
            self._mail = get_connection(timeout=SMTP_TIMEOUT_SECONDS)
            self._mail.open()
        headers = {"Message-ID": f"<{message.pk}@{sender_domain()}>"}
        self._mail.send_messages([EmailMessage(message.subject, message.body, to=[contact.email], headers=headers)])

    def hang_up(self) -> None:
        """Close the connection to the mail server. The next e-mail opens a new connection."""
        if self._mail is not None:
            mail, self._mail = self._mail, None
            with suppress(Exception):  # an error on closing does not affect the sent e-mail
                mail.close()


def describe_failure(error: Exception) -> str:
    """Return the type of an error without its text, because providers quote the recipient's address in it."""
    name = type(error).__name__
    return f"{name} {error.smtp_code}" if isinstance(error, SMTPResponseException) else name


def sender_domain() -> str:
    """Return the domain of settings.DEFAULT_FROM_EMAIL."""
    return _read_domain(settings.DEFAULT_FROM_EMAIL)


@cache
def _read_domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]
