"""What Celery runs for notifications. A task lost or run twice does no harm: the message's row says what to do."""

from uuid import UUID

from celery import shared_task

from notifications.providers import Undeliverable, deliver
from notifications.sending import claim_message, describe_failure, record_failure, record_sent, take_due
from shop.doorbell import ring

SWEEP_LIMIT = 500


@shared_task  # type: ignore[untyped-decorator]
def send_message(message_id: str) -> None:
    """Send the message, unless it is sent already or another worker is at it."""
    message = claim_message(UUID(message_id))
    if message is None:
        return
    try:
        deliver(message)
    except Undeliverable as error:
        record_failure(message, str(error), forever=True)
    except Exception as error:
        record_failure(message, describe_failure(error))
    else:
        record_sent(message)


@shared_task  # type: ignore[untyped-decorator]
def sweep_messages() -> None:
    """Ring for messages that wait and that nobody works on: the ring was lost, a worker died, or a pause is over."""
    for message_id in take_due(SWEEP_LIMIT):
        ring(send_message, str(message_id))
