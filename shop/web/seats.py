"""Limit the requests that run at the same time in one process, for any number of slow clients.

Granian occupies a thread per request as soon as the headers are complete, and has no time limit for the body. A waiting
thread needs about 50 kB, but a thread inside Django also needs a database connection. Each thread therefore reads the
whole body first. Then it takes one of a few seats. Each seat has its own database connections.
"""

import io
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpResponse

from shop.web.database_watch import DatabaseWatch

#: The environment of a request has this key while the database does not answer.
AWAY = "shop.database_away"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Any]


class Seats:
    """A WSGI application that runs Django's WSGI application `django` in at most `count` threads at the same time.

    A body of more than `most_bytes` is not read, because `django` refuses its length.
    """

    def __init__(self, django: Application, count: int, most_bytes: int) -> None:
        self._django = django
        self._most_bytes = most_bytes
        # The seat that became free last is taken first: a low load uses few connections.
        self._seats = deque([open_seat() for _ in range(count)])
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        self._watch = DatabaseWatch()
        for seat in self._seats:
            for connection in seat.values():
                self._watch.guard(connection)

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        """Return the response's body as a list: Granian reads other iterables in another thread, without a seat."""
        if not read_body(environ, self._most_bytes):
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        self._free.get()
        seat = self._seats.pop()
        try:
            for alias, connection in seat.items():
                connections[alias] = connection
            if self._watch.away:
                environ[AWAY] = True
            with self._watch.observe(seat):
                return collect_response(self._django(environ, start_response))
        finally:
            self._seats.append(seat)
            self._free.put(None)


def open_seat() -> dict[str, BaseDatabaseWrapper]:
    """Return database connections, not yet connected, that one thread after another may use."""
    seat = {alias: connections.create_connection(alias) for alias in connections}
    for connection in seat.values():
        connection.inc_thread_sharing()
    return seat


def read_body(environ: Environ, most_bytes: int) -> bool:
    """Read the whole body of a request. Return False if its client disconnected before the end.

    A chunked body gets a CONTENT_LENGTH, because Django ignores a body without one. It is read up to one byte above
    `most_bytes`, so that its length is refused. A CONTENT_LENGTH above `most_bytes` or without a number stays as it is,
    and the body is not read.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if not length and "HTTP_TRANSFER_ENCODING" not in environ:
        return True
    body = b""
    if not length:
        body = environ["wsgi.input"].read(most_bytes + 1)
        environ["CONTENT_LENGTH"] = str(len(body))
    elif length.isdecimal() and int(length) <= most_bytes:
        body = environ["wsgi.input"].read(int(length))
        if len(body) < int(length):
            return False
    environ["wsgi.input"] = io.BytesIO(body)
    return True


def collect_response(response: Any) -> list[bytes]:
    """Return the whole body of Django's `response` as a list, and close the response."""
    try:
        return [response.content] if isinstance(response, HttpResponse) else list(response)
    finally:
        response.close()
