"""The doorbell: tell Celery that rows wait. Nobody depends on being heard, because a periodic ring finds them, too.

A ring names a task and no row: the task takes what is due, many rows at a time. A worker that found rows stays for
LINGER_SECONDS and looks again at its pace. So a process that has just rung need not ring again for what it commits
within QUIET_AFTER_RING_SECONDS: the worker that took the rows of that ring looks once more after that.
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

#: Seconds from a look of a worker to its next one at its queue.
PACE_SECONDS = 0.05
#: After a look that found this many rows, the next one follows at once.
MANY_ROWS = 20
#: Seconds that a worker stays at its queue after the last ring, and seconds in which a process does not ring again.
LINGER_SECONDS, QUIET_AFTER_RING_SECONDS = 2.0, 1.9
#: After a failed ring nobody rings for so long: a consumer's batches wait for a dead broker once.
QUIET_SECONDS = 5.0
#: A worker goes on for so long before it lets other tasks have its thread.
SHIFT_SECONDS = 5.0
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


class Shift:
    """The threads of this process that are at a queue's rows: at most `workers`, of which one waits for more rows."""

    def __init__(self, workers: int, *, pace_seconds: float = PACE_SECONDS) -> None:
        """Describe it. `pace_seconds` lie between two looks while few rows come."""
        self._pace_seconds = pace_seconds
        self._lock = threading.Lock()
        self._free = workers
        self._is_one_waiting = self._has_rung = False
        self._stay_until = 0.0

    def work(self, take: Callable[[], int]) -> bool:
        """Call `take`, which works on some due rows and returns their number, until it finds none for LINGER_SECONDS.

        Return False when SHIFT_SECONDS were not enough: ring again.
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
        """Note the ring and take a place; without one, another thread looks at the queue before it leaves."""
        with self._lock:
            self._has_rung = True
            if self._is_one_waiting or not self._free:
                return False
            self._free -= 1
            return True

    def _wait_for_more(self, taken: int) -> bool:
        """Tell whether to look again. If not, the place is given back: under the lock, so that no ring is missed."""
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
