"""What Celery runs for notifications. A task lost or run twice does no harm: the messages' rows say what to do."""

from celery import shared_task

from notifications.delivery import send_due_messages
from shop.workqueue.doorbell import ring
from shop.workqueue.shift import Shift

# Each has a way to the mail server of its own, and mostly waits for its answers.
_shift = Shift(workers=4, pace_seconds=0.2)


@shared_task  # type: ignore[untyped-decorator]
def send_messages() -> None:
    """Send what is due, until nothing is. Beat rings, too: a ring may be lost, a worker die, a pause end."""
    if not _shift.work(send_due_messages):
        ring(send_messages)
