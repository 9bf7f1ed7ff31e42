"""The threads of the live process that use the database. Each keeps one connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections

from shop.web.database_watch import DatabaseWatch

#: Threads, and so connections. The bookkeeper has one more.
THREADS = 2
#: A sample of a large shop may take this long, without a call to the server.
PATIENCE_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseUnavailable(Exception):
    """The database does not answer, or refuses the statement."""


class Database:
    """Runs functions that use the database in threads, so that the event loop never waits for them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._watch = DatabaseWatch(patience=PATIENCE_SECONDS)

    async def run(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return the result of `function`.

        :raises DatabaseUnavailable: the function raised an error of the database, or the database does not answer.
        """

        def call() -> T:
            if self._watch.away:
                raise DatabaseUnavailable("the database does not answer")
            try:
                with self._watch.observe({DEFAULT_DB_ALIAS: connections[DEFAULT_DB_ALIAS]}):
                    close_old_connections()
                    return function(*args, **options)
            except Error as error:
                raise DatabaseUnavailable(str(error).strip()) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Let the threads end after their current function."""
        self._threads.shutdown(wait=False, cancel_futures=True)
