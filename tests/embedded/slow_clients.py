"""Clients that never finish a request, or never read a response, and a check that others are answered meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

from tests.client import call, make_order

UNFINISHED_HEAD = b"GET / HTTP/1.1\r\nHos"
UNFINISHED_BODY = (
    b"POST /api/v1/orders/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: k\r\n"
    b"Content-Length: 100\r\n\r\n{"
)
PATIENCE = 20.0


@contextmanager
def sending(address: str, request: bytes, clients: int) -> Iterator[list[socket.socket]]:
    """Keep `clients` connections to `address` open that have sent `request` and nothing else, until the block ends."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE)) for _ in range(clients)
        ]
        for connection in connections:
            connection.sendall(request)
        yield connections


def count_open(connections: list[socket.socket]) -> int:
    """Return the number of `connections` that the server has neither closed nor answered."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        with suppress(OSError):
            try:
                connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                count += 1
    return count


def check_service(address: str, sku: str) -> float:
    """Request the health and place an order at `address`; both must be answered. Return the longest wait in seconds."""
    health = call("GET", f"{address}/healthz", timeout=PATIENCE)
    assert health.status == 200
    order = call("POST", f"{address}/api/v1/orders/", make_order((sku, 1)), make_key(), timeout=PATIENCE)
    assert order.status == 201, order.body
    return max(health.seconds, order.seconds)


def make_key() -> dict[str, str]:
    """Return the header with a new idempotency key."""
    return {"Idempotency-Key": str(uuid4())}
