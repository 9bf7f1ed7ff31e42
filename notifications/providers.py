"""Providers: e-mail goes through Django's mail backend, SMS through the provider in settings.SMS_PROVIDER."""

from contextlib import suppress
from email.utils import parseaddr
from functools import cache, cached_property
from smtplib import SMTPResponseException
from typing import Protocol, cast

import phonenumbers
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from notifications.models import Message
from shop.contacts.models import Contact

#: Timeout of a mail server, in seconds.
SMTP_TIMEOUT_SECONDS = 10


class Undeliverable(Exception):
    """The message has no recipient or was refused for good, so it is not retried. The text has no personal data."""


class ProviderUnavailable(Exception):
    """The provider gave no answer about the message, which is retried. The text has no personal data."""


class SmsProvider(Protocol):
    """A provider of text messages. Some providers recognise a repeated message id; the others send again."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Send `text` to the telephone number `to`, which begins with + and the country's code.

        :raises Undeliverable: the provider refused the message for good.
        :raises Exception: any other error; it is then unknown whether the text was sent.
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

        :raises Undeliverable: the contact is erased or has no usable telephone number, or the provider refused.
        :raises Exception: any error of the provider; it is then unknown whether the message was sent.
        """
        if contact is None:
            raise Undeliverable("contact erased")
        if message.channel == Message.Channel.sms:
            if not settings.SMS_PROVIDER:
                raise Undeliverable("the shop sends no text messages: SMS_PROVIDER is none")
            self._sms.send(str(message.pk), make_international(contact.phone, contact.country), message.body)
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


def make_international(phone: str, country: str) -> str:
    """Return the telephone number `phone` in the form +491701234567. `country` completes a national number.

    :raises Undeliverable: there is no number, or it cannot be a number of the country.
    """
    if not phone:
        raise Undeliverable("no telephone number")
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(phone, country)
        if phonenumbers.is_possible_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise Undeliverable(f"not a telephone number in {country}, nor one with a country's code")


def describe_failure(error: Exception) -> str:
    """Return the type of an error without its text, because mail servers quote the recipient's address in it."""
    if isinstance(error, ProviderUnavailable):
        return str(error)
    name = type(error).__name__
    return f"{name} {error.smtp_code}" if isinstance(error, SMTPResponseException) else name


def sender_domain() -> str:
    """Return the domain of settings.DEFAULT_FROM_EMAIL."""
    return _read_domain(settings.DEFAULT_FROM_EMAIL)


@cache
def _read_domain(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]
