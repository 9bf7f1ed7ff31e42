"""Headroom: empty partitions of the outbox table ahead of the last position, so that publishers never run out of them.

Each relay compares the last position, which it knows anyway, with the end of the partitions. If fewer than AHEAD empty
partitions follow, a thread creates them, however fast events are published.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import Error

from relay.conf import configuration
from relay.database import connection
from relay.partitions import AHEAD, ensure_partitions, list_partitions

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Headroom:
    """The thread that creates partitions for one relay."""

    def __init__(self) -> None:
        self._enough_until = 0  # up to this position AHEAD empty partitions follow
        self._retry_at = 0.0
        self._pool: ThreadPoolExecutor | None = None
        self._work: Future[int] | None = None

    def keep(self, last: int) -> None:
        """Create partitions if too few follow the position `last`. Never waits and never raises."""
        if last < self._enough_until or time.monotonic() < self._retry_at:
            return
        if self._work is None:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="headroom")
            self._work = self._pool.submit(_create)
        elif self._work.done():
            work, self._work = self._work, None
            # Another process may be creating them now, or the table may be locked: look again later.
            self._retry_at = time.monotonic() + RETRY_SECONDS
            try:
                self._enough_until = work.result()
            except Error as error:
                logger.error("cannot create partitions of the outbox", extra={"error": str(error).strip()})

    def stop(self) -> None:
        """Wait for the thread to finish."""
        if self._pool:
            self._pool.shutdown()
            self._pool = None


def _create() -> int:
    """Create missing partitions. Return the position up to which AHEAD empty partitions follow."""
    try:
        for partition in ensure_partitions():
            logger.info("created a partition of the outbox", extra={"partition": partition.name})
        return max(one.end for one in list_partitions()) - AHEAD * configuration().partition_rows
    finally:
        connection.close()  # the connection of this thread
