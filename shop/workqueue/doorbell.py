"""The doorbell: tell Celery that rows wait. Nobody depends on being heard, because a periodic ring finds them, too.

A ring names a task and no row: the task takes what is due, many rows at a time. A worker that found rows stays for
`shift.LINGER_SECONDS` and looks again at its pace. A process that has just rung therefore need not ring again for the
rows that it commits within QUIET_AFTER_RING_SECONDS: the worker of that ring looks once more after them.
"""

import logging
import time
from dataclasses import dataclass

from celery import Task
from django.db import connection, transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: Seconds in which a process does not ring again for a task. Less than the shift's LINGER_SECONDS.
QUIET_AFTER_RING_SECONDS = 1.9
#: After a failed ring nobody rings for so long: a consumer's batches wait for a dead broker once.
QUIET_SECONDS = 5.0
_quiet_until = 0.0
_rung_at: dict[str, float] = {}


@dataclass(frozen=True)
class _Ring:
    task: Task

    def __call__(self) -> None:
        _ring_now(self.task)


def ring(task: Task) -> None:
    """Ask Celery to run `task` once the open transaction commits; at once when none is open.

    A transaction rings once for each task, however often it asks. Returning does not mean that the task will run: a
    broker that is away is logged and passed over.
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
        logger.warning("Celery's broker is away, the sweep takes over", extra={"task": task.name, "error": str(error)})
