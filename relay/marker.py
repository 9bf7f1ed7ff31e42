"""Marks on a thread with a database connection of its own, while the relay reads and sends."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection


class Marker:
    """One piece of work at a time. Its error is raised where its end is waited for."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether work is under way or its end was not waited for yet."""
        return self._work is not None

    @property
    def is_done(self) -> bool:
        """Whether waiting for the end takes no time."""
        return self._work is not None and self._work.done()

    def begin(self, work: Callable[[], None]) -> None:
        """Start `work` on the thread. Nothing else may be under way."""
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="marker")
        self._work = self._pool.submit(_run, work)

    def finish(self) -> None:
        """Wait for the end of what is under way, if anything is, and raise its error."""
        work, self._work = self._work, None
        if work is not None:
            work.result()

    def close(self) -> None:
        """End the thread and its connection, after what is under way."""
        if self._pool is not None:
            self._pool.submit(_close_connection)
            self._pool.shutdown()
        self._pool = self._work = None


def _close_connection() -> None:
    connection.close()  # looked up on the thread: each has its own


def _run(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:
        _close_connection()  # it may be dead
        raise
