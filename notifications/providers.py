"""How a message leaves the house: e-mail through Django's backend, SMS through the provider that the settings name."""

from email.utils import parseaddr
from typing import Protocol, cast

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils.module_loading import import_string

from notifications.models import Message
from shop.contacts.models import Contact

#: A mail server that says nothing for so long is given up, before the worker's claim on the message ends.
SMTP_TIMEOUT_SECONDS = 20


class Undeliverable(Exception):
    """There is nobody to send to. Trying again changes nothing."""


class SmsProvider(Protocol):
    """Sends text messages. A message id that it has seen before is not sent again."""

    def send(self, message_id: str, to: str, text: str) -> None:
        """Send `text` to the telephone number `to`, or raise: whether it was sent is then unknown."""


def deliver(message: Message) -> None:
    """Send the message to its contact. No transaction may be open: this can take seconds.

    :raises Undeliverable: the contact is erased or has no telephone number.
    :raises Exception: whatever the provider raises; whether the message was sent is then unknown.
    """
    contact = Contact.objects.filter(pk=message.contact_id).first()
    if contact is None:
        raise Undeliverable("contact erased")
    if message.channel == Message.Channel.sms:
        if not contact.phone:
            raise Undeliverable("no telephone number")
        cast(SmsProvider, import_string(settings.SMS_PROVIDER)()).send(str(message.pk), contact.phone, message.body)
    else:
        headers = {"Message-ID": f"<{message.pk}@{sender_domain()}>"}
        connection = get_connection(timeout=SMTP_TIMEOUT_SECONDS)
        EmailMessage(message.subject, message.body, to=[contact.email], headers=headers, connection=connection).send()


def sender_domain() -> str:
    """Return the domain that the shop sends its mail from."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
