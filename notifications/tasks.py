"""Celery tasks of notifications. A lost or duplicate task does no harm, because the work is stored in the messages."""

from celery import shared_task

from notifications import recipients
from notifications.delivery import send_due_messages
from shop.workqueue.doorbell import ring
from shop.workqueue.shift import Shift

# Each worker has its own connection to the mail server and mostly waits for answers.
_shift = Shift(workers=4, pace_seconds=0.2)


@shared_task  # type: ignore[untyped-decorator]
def send_messages() -> None:
    """Send due messages until none is due. Celery beat rings too, for lost rings, dead workers and ended pauses."""
    if not _shift.work(send_due_messages):
        ring(send_messages)


@shared_task  # type: ignore[untyped-decorator]
def forget_recipients() -> None:
    """Delete the recipients without a letter in the last hour."""
    recipients.forget_recipients()
