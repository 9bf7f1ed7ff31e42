"""Notice a database that does not answer, so that each request gets its 503 response within two seconds.

A stopped server refuses connections at once. A frozen server or a lost network answers nothing: a statement then waits
without end, because `statement_timeout` is a limit of the server. A thread of the web process therefore calls the
server as soon as a request takes long. Without an answer it closes the connections of the waiting requests, and new
requests do not try until the server answers again.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import Any

from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Error, pq
from psycopg.conninfo import make_conninfo

logger = logging.getLogger(__name__)

Seat = dict[str, BaseDatabaseWrapper]

PATIENCE_SECONDS = 0.3
#: Seconds that the server has for the first byte of an answer. With PATIENCE_SECONDS twice, less than two seconds.
ANSWER_SECONDS = 1.0


class DatabaseWatch:
    """Watches the requests of one process. `away` is true while the server does not answer.

    After `patience` seconds a request is slow enough to call the server; calls are as far apart.
    """

    def __init__(self, *, patience: float = PATIENCE_SECONDS) -> None:
        self.away = False
        self._patience = patience
        self._waiting: dict[int, tuple[float, Seat]] = {}
        self._work = threading.Event()
        self._start = threading.Lock()

    @contextmanager
    def observe(self, seat: Seat) -> Iterator[None]:
        """Watch the request that uses the connections of `seat` during the block."""
        if self._start.acquire(blocking=False):  # at the first request, because a thread does not survive a fork
            threading.Thread(target=self._run, name="database-watch", daemon=True).start()
        self._waiting[id(seat)] = (time.monotonic(), seat)
        self._work.set()
        try:
            yield
        finally:
            del self._waiting[id(seat)]

    def guard(self, connection: BaseDatabaseWrapper) -> None:
        """Let `connection` fail to connect at once while the server is away: Django reconnects after a failed check."""
        connect = connection.get_new_connection

        def connect_unless_away(conn_params: Any) -> Any:
            if self.away:
                raise OperationalError("the database does not answer")
            return connect(conn_params)

        connection.get_new_connection = connect_unless_away  # type: ignore[method-assign]

    def _run(self) -> None:
        while True:
            self._work.wait()
            time.sleep(self._patience)
            self._work.clear()
            if self._waiting or self.away:
                self._work.set()
                self.check()

    def check(self) -> None:
        """Call the server if a request waits for long or `away` is true, and cut off the requests if it is silent."""
        latest = time.monotonic() - self._patience
        if not self.away and not any(since <= latest for since, _ in list(self._waiting.values())):
            return
        away = not is_answering(read_address(), ANSWER_SECONDS)
        if away != self.away:
            logger.error("the database does not answer" if away else "the database answers again")
        self.away = away
        if away:
            for _, seat in list(self._waiting.values()):
                for connection in seat.values():
                    cut_off(connection)


def read_address() -> str:
    """Return the connection string of the default database."""
    options = connections[DEFAULT_DB_ALIAS].get_connection_params()
    wanted = ("host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey")
    return make_conninfo(**{name: options[name] for name in wanted if name in options})


def is_answering(address: str, seconds: float) -> bool:
    """Return whether the server at `address` sends anything within `seconds`; a refusal of the log-in counts, too."""
    deadline = time.monotonic() + seconds
    answered = False
    state: int = pq.PollingStatus.WRITING
    try:
        call = pq.PGconn.connect_start(address.encode())
        try:
            # Complete the log-in if there is time, because the server logs clients that disappear.
            while state in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
                reads = state == pq.PollingStatus.READING
                left = max(0.0, deadline - time.monotonic())
                if not any(select([call.socket] if reads else [], [] if reads else [call.socket], [], left)):
                    break
                answered = answered or reads
                state = call.connect_poll()
        finally:
            call.finish()
    except (Error, OSError):
        return answered
    return answered


def cut_off(connection: BaseDatabaseWrapper) -> None:
    """Shut the socket of `connection` down: its statement fails at once, and the next request connects again."""
    with suppress(AttributeError, Error, OSError), socket.socket(fileno=os.dup(connection.connection.fileno())) as sock:
        sock.shutdown(socket.SHUT_RDWR)
