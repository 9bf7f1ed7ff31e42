"""The doorbell: a Celery message which says that rows of a queue are due. A periodic ring covers lost messages.

A ring names a task, but no row: the task processes all due rows in batches. A worker that found rows polls its queue
for LINGER_SECONDS more. A process therefore does not ring again within QUIET_AFTER_RING_SECONDS, because the worker of
the previous ring still polls at the end of this time.
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

#: Seconds between two polls of a worker.
PACE_SECONDS = 0.05
#: A poll that found this number of rows or more is followed by the next poll without a pause.
MANY_ROWS = 20
#: Seconds that a worker polls an empty queue, and seconds in which a process does not ring again.
LINGER_SECONDS, QUIET_AFTER_RING_SECONDS = 2.0, 1.9
#: Seconds without a ring after a failed one, so that a dead broker delays a consumer only once.
QUIET_SECONDS = 5.0
#: Seconds of work after which a worker releases its thread to other tasks.
SHIFT_SECONDS = 5.0
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


class Shift:
    """The threads of this process that work on a queue: at most `workers`. At most one of them waits for more rows."""

    def __init__(self, workers: int, *, pace_seconds: float = PACE_SECONDS) -> None:
        """Create a shift that waits `pace_seconds` between two polls while few rows arrive."""
        self._pace_seconds = pace_seconds
        self._lock = threading.Lock()
        self._free = workers
        self._is_one_waiting = self._has_rung = False
        self._stay_until = 0.0

    def work(self, take: Callable[[], int]) -> bool:
        """Call `take` until it finds no rows for LINGER_SECONDS. `take` processes due rows and returns their number.

        Return False if the work takes longer than SHIFT_SECONDS; the caller must ring again.
        """
        until = time.monotonic() + SHIFT_SECONDS
        if not self._enter():
            return True
        try:
            while time.monotonic() < until:
                self._is_one_waiting = self._has_rung = False
                taken = take()
                if not self._wait_for_more(taken):
                    return True
                if taken < MANY_ROWS and self._pace_seconds:
                    time.sleep(self._pace_seconds)
        except BaseException:
            self._leave()
            raise
        self._is_one_waiting = False
        self._leave()
        return False

    def _enter(self) -> bool:
        """Record the ring, and return whether this thread may work. Otherwise a working thread polls again instead."""
        with self._lock:
            self._has_rung = True
            if self._is_one_waiting or not self._free:
                return False
            self._free -= 1
            return True

    def _wait_for_more(self, taken: int) -> bool:
        """Return whether to poll again. Otherwise leave the shift under the same lock, so that no ring is missed."""
        with self._lock:
            now = time.monotonic()
            if taken:
                self._stay_until = now + LINGER_SECONDS
            if self._is_one_waiting or not (taken or self._has_rung or now < self._stay_until):
                self._free += 1
                return False
            self._is_one_waiting = True
            return True

    def _leave(self) -> None:
        with self._lock:
            self._free += 1
