"""What Celery runs for notifications. A task lost or run twice does no harm: the messages' rows say what to do."""

from celery import shared_task

from notifications.providers import deliver
from notifications.sending import claim_messages, record_outcomes
from shop.doorbell import Shift, ring

MOST_MESSAGES = 100

_shift = Shift(workers=2)


@shared_task  # type: ignore[untyped-decorator]
def send_messages() -> None:
    """Send what is due, until nothing is. Beat rings, too: a ring may be lost, a worker die, a pause end."""
    if not _shift.work(take_due):
        ring(send_messages)


def take_due() -> int:
    """Send the messages that are due longest, and return how many those were."""
    messages = claim_messages(MOST_MESSAGES)
    record_outcomes(list(deliver(messages)))
    return len(messages)
