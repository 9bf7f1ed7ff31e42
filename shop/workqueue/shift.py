"""A worker's shift at a queue of rows: it processes due rows until none arrive, and misses no ring."""

import threading
import time
from collections.abc import Callable

#: Seconds between two polls of a worker.
PACE_SECONDS = 0.05
#: A poll that found this number of rows or more is followed by the next poll without a pause.
MANY_ROWS = 50
#: Seconds that a worker polls an empty queue. More than the doorbell's QUIET_AFTER_RING_SECONDS.
LINGER_SECONDS = 2.0
#: Seconds of work after which a worker releases its thread to other tasks.
SHIFT_SECONDS = 5.0


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
