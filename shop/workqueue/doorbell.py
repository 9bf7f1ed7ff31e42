"""The doorbell: a Celery message which says that rows of a queue are due. A periodic ring covers lost messages.

A ring names a task, but no row: the task processes all due rows in batches. A worker that found rows polls its queue
for `shift.LINGER_SECONDS` more. A process therefore does not ring again within QUIET_AFTER_RING_SECONDS, because the
worker of the previous ring still polls at the end of this time.
"""

import logging
import time
from dataclasses import dataclass

from celery import Task
from django.db import connection, transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: Seconds in which a process does not ring again. Less than the shift's LINGER_SECONDS.
QUIET_AFTER_RING_SECONDS = 1.9
#: Seconds without a ring after a failed one, so that a dead broker delays a consumer only once.
QUIET_SECONDS = 5.0
_quiet_until = 0.0
_rung_at: dict[str, float] = {}


@dataclass(frozen=True)
class _Ring:
    task: Task

    def __call__(self) -> None:
        _ring_now(self.task)


def ring(task: Task) -> None:
    """Send `task` to Celery after the commit of the open transaction, or immediately without one.

    A transaction rings at most once for each task. If the broker is unavailable, the failure is only logged.
    """
    ringing = _Ring(task)
    if all(waiting[1] != ringing for waiting in connection.run_on_commit):
        transaction.on_commit(ringing, robust=True)


def _ring_now(task: Task) -> None:
    global _quiet_until
    now = time.monotonic()
    if now < _quiet_until or now < _rung_at.get(task.name, 0.0) + QUIET_AFTER_RING_SECONDS:
        return
    try:
        task.delay()
        _rung_at[task.name] = now
    except OperationalError as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning(
            "Celery's broker is unavailable: the periodic sweep will process the rows",
            extra={"task": task.name, "error": str(error)},
        )
