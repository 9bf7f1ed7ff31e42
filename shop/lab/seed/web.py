"""The smallest HTTP that the lab needs: a server of JSON calls in asyncio, and a client with one connection."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from django.db import connection

Body = dict[str, Any]


def read_database() -> dict[str, Any]:
    """Return psycopg's parameters of the shop's database.

    Commits of the lab do not wait for the disk: at time factor 10, 5 ms would count as 50 ms of the synchronous shop.
    """
    unwanted = ("cursor_factory", "context", "prepare_threshold")
    found = {name: value for name, value in connection.get_connection_params().items() if name not in unwanted}
    return found | {"options": f"{found.get('options', '')} -c synchronous_commit=off"}


def serve_calls(port: int, answer: Callable[[Body], Awaitable[Body]], prepare: Callable[[], Awaitable[None]]) -> None:
    """Serve POST requests on 127.0.0.1:`port` until the process ends. `answer` maps the body to the response's body."""

    async def serve() -> None:
        await prepare()
        server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=512)
        await server.serve_forever()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(find_length(head))
                try:
                    status, found = 200, json.dumps(await answer(json.loads(body))).encode()
                except ServiceFailed as error:
                    status, found = 500, json.dumps({"error": str(error)}).encode()
                writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%s" % (status, len(found), found))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    asyncio.run(serve())


def find_length(head: bytes) -> int:
    """Return the Content-Length of a request's or a response's head, or 0."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class ServiceFailed(Exception):
    """A service can't process an order. It answers 500."""


class ServiceUnavailable(Exception):
    """A service did not answer, or not with 200."""


class Client:
    """Calls the service on a port of this machine over one connection, which is opened again after an error."""

    def __init__(self, name: str, port: int, seconds: float) -> None:
        self._name = name
        self._line = HTTPConnection("127.0.0.1", port, timeout=seconds)

    def call(self, body: Body) -> Any:
        """Return the answer to `body`.

        :raises ServiceUnavailable: there was no answer, or it says that the service failed.
        """
        is_used = self._line.sock is not None
        try:
            return self._call(body)
        except (OSError, HTTPException, ValueError) as error:
            self._line.close()
            if is_used and isinstance(error, ConnectionError | HTTPException):  # closed while idle, for example
                return Client.call(self, body)
            raise ServiceUnavailable(f"{self._name} does not answer") from error

    def _call(self, body: Body) -> Any:
        self._line.request("POST", "/", json.dumps(body))
        answer = self._line.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200:
            raise ServiceUnavailable(f"{self._name} answered {answer.status}: {found}")
        return found
