"""A worker's shift at a queue of rows: it takes due rows until none come, and leaves no ring unanswered."""

import threading
import time
from collections.abc import Callable

#: Seconds from a look of a worker to its next one at its queue.
PACE_SECONDS = 0.05
#: After a look that found this many rows, the next one follows at once.
MANY_ROWS = 20
#: Seconds that a worker stays at its queue after the last ring. More than the doorbell's QUIET_AFTER_RING_SECONDS.
LINGER_SECONDS = 2.0
#: Seconds that a worker goes on before it lets other tasks have its thread.
SHIFT_SECONDS = 5.0


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
