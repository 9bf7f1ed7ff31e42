"""A batch of messages on its way out: one after the other, each with a result of its own."""

import time
from collections.abc import Iterator, Sequence

from notifications.models import Message
from notifications.providers import SMTP_TIMEOUT_SECONDS, Providers, Undeliverable, describe_failure
from notifications.queue import CLAIM_SECONDS, SendResult, claim_messages, record_results
from shop.contacts.models import Contact

MOST_MESSAGES = 50


def send_due_messages() -> int:
    """Send the messages that are due longest, and return how many those were."""
    messages = claim_messages(MOST_MESSAGES)
    record_results(list(deliver(messages)))
    return len(messages)


def deliver(messages: Sequence[Message]) -> Iterator[SendResult]:
    """Send the claimed messages to their contacts and yield how each went.

    None is begun that might end after its claim. No transaction may be open: this can take seconds.
    """
    begin_by = time.monotonic() + CLAIM_SECONDS - 2 * SMTP_TIMEOUT_SECONDS
    contacts = Contact.objects.in_bulk([message.contact_id for message in messages])
    providers = Providers()
    try:
        for message in messages:
            if time.monotonic() > begin_by:
                yield SendResult(message, tried=False)
                continue
            try:
                providers.send(message, contacts.get(message.contact_id))
            except Undeliverable as error:
                yield SendResult(message, str(error), for_good=True)
            except Exception as error:
                providers.hang_up()
                yield SendResult(message, describe_failure(error))
            else:
                yield SendResult(message)
    finally:
        providers.hang_up()
