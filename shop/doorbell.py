"""The doorbell: tell Celery that a row waits. Nobody depends on being heard, because a periodic sweep finds the row."""

import logging
import time
from functools import partial

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: After a failed ring nobody rings for so long: a consumer's batch of hundreds waits for a dead broker once.
QUIET_SECONDS = 5.0
_quiet_until = 0.0


def ring(task: Task, *args: str) -> None:
    """Ask Celery to run ``task(*args)`` once the open transaction commits; at once when none is open.

    Returning does not mean that the task will run: a broker that is away is logged and passed over. Arguments are
    ids, never personal data.
    """
    transaction.on_commit(partial(_ring_now, task, *args), robust=True)


def _ring_now(task: Task, *args: str) -> None:
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return
    try:
        task.delay(*args)
    except OperationalError as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("Celery's broker is away, the sweep takes over", extra={"task": task.name, "error": str(error)})
