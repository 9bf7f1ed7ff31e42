"""Delivery of a batch of messages: the messages are sent one after another, each with its own result."""

import time
from collections.abc import Iterator, Sequence

from notifications.models import Message
from notifications.providers import SMTP_TIMEOUT_SECONDS, Providers, Undeliverable, describe_failure
from notifications.queue import CLAIM_SECONDS, SendResult, claim_messages, record_results
from shop.contacts.models import Contact

#: Maximum number of messages per batch.
MOST_MESSAGES = 50


def send_due_messages() -> int:
    """Send the messages that have been due longest, and return the number of claimed messages."""
    messages = claim_messages(MOST_MESSAGES)
    record_results(list(deliver(messages)))
    return len(messages)


def deliver(messages: Sequence[Message]) -> Iterator[SendResult]:
    """Send the claimed messages to their contacts and yield a result for each.

    No message is started that might outlast its claim. Call this outside a transaction, because it can take seconds.
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
