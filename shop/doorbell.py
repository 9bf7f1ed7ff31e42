"""The doorbell: tell Celery that rows wait. Nobody depends on being heard, because a periodic ring finds them, too.

A ring names a task and no row: the task takes what is due, many rows at a time, until nothing is.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from celery import Task
from django.db import connection, transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: After a failed ring nobody rings for so long: a consumer's batches wait for a dead broker once.
QUIET_SECONDS = 5.0
#: A worker goes on for so long before it lets other tasks have its thread.
SHIFT_SECONDS = 5.0
_quiet_until = 0.0


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
    if time.monotonic() < _quiet_until:
        return
    try:
        task.delay()
    except OperationalError as error:
        _quiet_until = time.monotonic() + QUIET_SECONDS
        logger.warning("Celery's broker is away, the sweep takes over", extra={"task": task.name, "error": str(error)})


class Shift:
    """At most `workers` threads of this process are at a queue's rows; a ring that comes meanwhile costs nothing."""

    def __init__(self, workers: int) -> None:
        self._places = threading.BoundedSemaphore(workers)
        self._rung = threading.Event()

    def work(self, take: Callable[[], int]) -> bool:
        """Call `take`, which works on some due rows and returns their number, until there are none.

        Return False when SHIFT_SECONDS were not enough: ring again.
        """
        until = time.monotonic() + SHIFT_SECONDS
        self._rung.set()
        # Who finds no place has left `rung` behind: whoever gives one back looks at it afterwards.
        while self._rung.is_set() and self._places.acquire(blocking=False):
            try:
                self._rung.clear()
                while take():
                    if time.monotonic() > until:
                        return False
            finally:
                self._places.release()
        return True
