"""The threads of the live process that use the database. Each keeps one connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import Error, close_old_connections

#: Threads, and so connections. The bookkeeper has one more.
THREADS = 2

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseUnavailable(Exception):
    """The database does not answer, or refuses the statement."""


class Database:
    """Runs functions that use the database in threads, so that the event loop never waits for them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def run(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return the result of `function`.

        :raises DatabaseUnavailable: the function raised an error of the database.
        """

        def call() -> T:
            close_old_connections()
            try:
                return function(*args, **options)
            except Error as error:
                raise DatabaseUnavailable(str(error).strip()) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Let the threads end after their current function."""
        self._threads.shutdown(wait=False, cancel_futures=True)
