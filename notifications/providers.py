"""How messages leave the house: e-mail through Django's backend, SMS through the provider that the settings name."""

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

#: A mail server that says nothing for so long is given up.
SMTP_TIMEOUT_SECONDS = 10


class Undeliverable(Exception):
    """There is nobody to send to. Trying again changes nothing."""


class SmsProvider(Protocol):
    """Sends text messages. A message id that it has seen before is not sent again."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Send `text` to the telephone number `to`, or raise: whether it was sent is then unknown."""


class Providers:
    """The ways out. The way to the mail server is opened for the first e-mail and kept for those that follow."""

    def __init__(self) -> None:
        self._mail: BaseEmailBackend | None = None

    @cached_property
    def _sms(self) -> SmsProvider:
        return cast(SmsProvider, import_string(settings.SMS_PROVIDER)())

    def send(self, message: Message, contact: Contact | None) -> None:
        """Send one message.

        :raises Undeliverable: the contact is erased or has no telephone number.
        :raises Exception: whatever the provider raises; whether the message was sent is then unknown.
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
        """Close the way to the mail server. After an error the next e-mail opens a new one."""
        if self._mail is not None:
            mail, self._mail = self._mail, None
            with suppress(Exception):  # what was sent is sent
                mail.close()


def describe_failure(error: Exception) -> str:
    """Say what went wrong without the error's own text: providers like to quote the address there."""
    name = type(error).__name__
    return f"{name} {error.smtp_code}" if isinstance(error, SMTPResponseException) else name


def sender_domain() -> str:
    """Return the domain that the shop sends its mail from."""
    return _read_domain(settings.DEFAULT_FROM_EMAIL)


@cache
def _read_domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]
