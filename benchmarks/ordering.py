"""Load of orders over persistent HTTP connections, and the profile of a request inside the web process."""

import io
import os
import re
import selectors
import socket
import statistics
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import uuid4

import psutil


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load: transactions per second, latencies in ms, and processor time in us per order."""

    per_second: float
    p50: float
    p95: float
    p99: float
    processor: dict[str, float]


def order_over(port: int, connections: int, seconds: float, body: bytes) -> Load:
    """Place orders on `connections` connections for `seconds` and return the load.

    Each order has a new idempotency key and another buyer: orders of one buyer would wait for one another.

    :raises RuntimeError: a response has another status than 201.
    """
    head = f"POST /api/v1/orders/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    buyer = re.search(rb"ada-([0-9a-f]{32})@", body)
    assert buyer, "the body has no address of make_address()"
    before_key = f"{head}Content-Length: {len(body)}\r\nIdempotency-Key: ".encode()
    parts = (before_key, b"\r\n\r\n" + body[: buyer.start(1)], body[buyer.end(1) :])
    chooser = selectors.DefaultSelector()
    before, latencies = read_processor(), []
    began: dict[socket.socket, float] = {}
    for _ in range(connections):
        line = socket.create_connection(("127.0.0.1", port))
        chooser.register(line, selectors.EVENT_READ)
        send_order(line, parts, began)
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        for ready, _ in chooser.select(5):
            line = ready.fileobj  # type: ignore[assignment]
            read_answer(line)
            latencies.append(time.perf_counter() - began[line])
            send_order(line, parts, began)
    took = time.perf_counter() - start
    after = read_processor()
    for ready in list(chooser.get_map().values()):
        read_answer(ready.fileobj)  # type: ignore[arg-type]
        ready.fileobj.close()  # type: ignore[union-attr]
    cuts = [cut * 1000 for cut in statistics.quantiles(latencies, n=100)]
    each = {name: (after[name] - before[name]) / len(latencies) * 1e6 for name in after}
    return Load(len(latencies) / took, cuts[49], cuts[94], cuts[98], each)


def send_order(line: socket.socket, parts: tuple[bytes, bytes, bytes], began: dict[socket.socket, float]) -> None:
    """Send one order, and store the current time in `began`."""
    began[line] = time.perf_counter()
    line.sendall(parts[0] + str(uuid4()).encode() + parts[1] + uuid4().hex.encode() + parts[2])


def read_answer(line: socket.socket, status: int = 201) -> int:
    """Read one complete response, and return the length of its body in bytes.

    :raises RuntimeError: the response has another status than `status`.
    """
    got = b""
    while b"\r\n\r\n" not in got:
        got += line.recv(65536) or fail(got)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
    left = length - len(body)
    while left > 0:
        left -= len(line.recv(65536) or fail(got))
    if b" %d " % status not in head.partition(b"\r\n")[0]:
        fail(got)
    return length


def fail(got: bytes) -> bytes:
    """Raise an error for the unexpected response `got`.

    :raises RuntimeError: always.
    """
    raise RuntimeError(f"unexpected response: {got[:500]!r}")


def read_processor() -> dict[str, float]:
    """Return the seconds of processor time until now: of this client, and of the web and PostgreSQL that it started.

    The time of an ended process counts for its parent: pgbench for the client, its sessions for PostgreSQL.
    """
    used = {"client": sum(os.times()[:4]), "web": 0.0, "postgres": 0.0}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            part = "postgres" if process.name().startswith("postgres") else "web"
            used[part] += sum(process.cpu_times()[: 4 if part == "postgres" else 2])
    return used


def profile_request(body: bytes, count: int = 2000) -> dict[str, float]:
    """Return the median microseconds of each part of a request in this process, without Granian and sockets."""
    from django.core.wsgi import get_wsgi_application
    from django.db import connection

    times: dict[str, list[float]] = {}

    def watch(owner: Any, function: str, name: str) -> None:
        work = getattr(owner, function)

        def run(*values: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*values, **named)
            finally:
                times.setdefault(name, []).append((time.perf_counter() - began) * 1e6)

        setattr(owner, function, run)

    api = import_module("orders.api.placement")
    watch(import_module("orders.checkout.statement"), "run_prepared", "        the statement")
    watch(import_module("orders.checkout.placement"), "store_order", "      make and store the order")
    watch(api, "place_order", "    place it")
    watch(api, "read_order", "    read the body")
    watch(api.OrderList, "dispatch", "  the view")
    handler: Any = get_wsgi_application()
    watch(handler, "get_response", "the request, with its middleware")
    for _ in range(count):
        handler(make_environment(body), lambda status, headers: None).close()
    with connection.cursor() as cursor:
        for _ in range(count):
            began = time.perf_counter()
            cursor.execute("select 1")
            times.setdefault("a statement that does nothing", []).append((time.perf_counter() - began) * 1e6)
    return {name: statistics.median(measured) for name, measured in reversed(times.items())}


def make_environment(body: bytes) -> dict[str, Any]:
    """Return the WSGI environment that Granian would pass for a request with `body`."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/orders/",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_IDEMPOTENCY_KEY": str(uuid4()),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
