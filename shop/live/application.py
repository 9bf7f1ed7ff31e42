"""The live process's ASGI application: server-sent events for pages and API clients that watch orders.

A stream is a bell: it carries ids of orders that changed, and no data about persons. The caller then fetches the change
from the web process, which checks the permission again.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django.conf import settings

from shop.live.access import admit
from shop.live.bell import Bell
from shop.live.database import Database, DatabaseUnavailable
from shop.live.listener import Listener
from shop.live.streams import Stream, Streams, TooManyStreams

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PAGES = "/live/orders/"
_CLIENTS = re.compile(r"/api/v1/orders/([0-9a-f-]{36})/events/")
#: Most orders of one stream.
MOST_ORDERS = 50
#: Seconds between two comments, which reveal a closed connection and keep proxies from closing an open one.
COMMENT_SECONDS = 15.0
#: A stream ends after this time plus up to a fifth, so that a lost permission does not last.
LIFETIME_SECONDS = 1800.0
RETRY_AFTER_SECONDS = 30


class NoStream(Exception):
    """The answer to a request that opens no stream."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Application:
    """The ASGI application. `start` and `stop` run in the server's event loop."""

    def __init__(self) -> None:
        self.streams = Streams()
        self.database = Database()
        self._bell = Bell(self.streams, self.database)
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: Listener | None = None

    def start(self) -> None:
        """Begin to listen to Kafka and to ring."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._bell.ring_applied()), loop.create_task(self._bell.ring_compared())]
        self._listener = Listener(
            self.streams.watched, report=lambda seen: loop.call_soon_threadsafe(self._bell.note, seen)
        )
        self._listener.start()

    def stop(self) -> None:
        """Say goodbye on each stream, and end the background work."""
        self.streams.end_all()
        for task in self._tasks:
            task.cancel()
        if self._listener:
            self._listener.stop()
        self.database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            if scope["path"] == "/healthz":
                raise NoStream(200, f"{len(self.streams)} open streams\n")
            stream = await self._open(scope)
        except NoStream as answer:
            await _answer(send, answer.status, str(answer), _allow_origin(scope))
            return
        try:
            await self._serve(stream, scope, receive, send)
        finally:
            self.streams.close(stream)
            self._want_kafka()

    async def _open(self, scope: Scope) -> Stream:
        orders, is_page = _read_orders(scope)
        try:
            caller = await self.database.run(admit, scope, orders, is_page=is_page)
        except DatabaseUnavailable:
            raise NoStream(503, "The database is not available. Try again later.\n") from None
        if caller is None:
            raise NoStream(404, "There is no such order, or you may not see it.\n")
        try:
            stream = self.streams.open(map(str, orders), address=caller.address, visitor=caller.visitor)
        except TooManyStreams as error:
            raise NoStream(503, f"No further stream: {error}. Try again later.\n") from None
        self._want_kafka()
        return stream

    def _want_kafka(self) -> None:
        if self._listener:
            self._listener.want(len(self.streams) > 0)

    async def _serve(self, stream: Stream, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *_allow_origin(scope),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _write(send, f"retry: {random.randint(2000, 6000)}\n\n")
        leaving = asyncio.get_running_loop().create_task(_wait_for_disconnect(receive, stream))
        try:
            async with asyncio.timeout(LIFETIME_SECONDS * random.uniform(1, 1.2)):
                while not stream.ended:
                    await self._serve_once(stream, send)
        except TimeoutError:
            pass
        finally:
            leaving.cancel()
        await _write(send, f"event: bye\ndata: {random.randint(500, 5000)}\n\n", more=False)

    async def _serve_once(self, stream: Stream, send: Send) -> None:
        try:
            async with asyncio.timeout(COMMENT_SECONDS):
                await stream.wake.wait()
        except TimeoutError:
            await _write(send, ":\n\n")
            return
        if rung := stream.take_rung():
            await _write(send, "".join(f"event: order\ndata: {order}\n\n" for order in rung))


async def _wait_for_disconnect(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()


def _read_orders(scope: Scope) -> tuple[list[UUID], bool]:
    """Return the orders that the request names, and whether a page (not an API client) sends it."""
    if scope["method"] != "GET":
        raise NoStream(405, f"{scope['method']} is not allowed. Use GET.\n")
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if match := _CLIENTS.fullmatch(scope["path"]):
        words, is_page = [match[1]], False
    elif scope["path"] == PAGES:
        words, is_page = query.get("id", []), True
    else:
        raise NoStream(404, "There is no such stream.\n")
    try:
        orders = [UUID(word) for word in words]
    except ValueError as error:
        raise NoStream(400, f"An id is not a UUID: {error}.\n") from None
    if not 1 <= len(orders) <= MOST_ORDERS:
        raise NoStream(400, f"The request names {len(orders)} orders. Name 1 to {MOST_ORDERS}, as ?id=...\n")
    return orders, is_page


def _allow_origin(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the CORS headers if the storefront's page on the same host sends the request, otherwise none."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    page = urlsplit(origin)
    if not origin or page.hostname != urlsplit(f"//{host}").hostname or page.port != settings.PORT:
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"origin"),
    ]


async def _answer(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"), *headers]
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await _write(send, text, more=False)


async def _write(send: Send, text: str, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": more})
