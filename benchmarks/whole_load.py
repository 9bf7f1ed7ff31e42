"""Load of orders over HTTP at a constant rate, and the figures of these orders."""

import json
import selectors
import socket
import time
from collections import deque
from typing import Any
from uuid import uuid4

from benchmarks.backlog import UNFINISHED, Catalogue
from benchmarks.ordering import read_answer
from benchmarks.outages import percentile
from benchmarks.stage import wait_until
from benchmarks.whole_shop import WholeShop

_UNFINISHED_SINCE = f"{UNFINISHED} and placed_at > %(since)s"
_TIMES = """
select extract(epoch from confirmed_at - placed_at)::float8, extract(epoch from sent.at - placed_at)::float8
from orders_order o
left join lateral (select max(sent_at) as at from notifications_message m
                   where m.order_id = o.id and m.channel <> 'shop') sent on true
where placed_at > %(since)s
"""
HIGHEST_FROM, HIGHEST_STEP, HIGHEST_BACK = 120.0, 1.2, 0.93
HIGHEST_SECONDS, PROBE_SECONDS = 60.0, 16.0


class Client:
    """Places orders at their due times over persistent connections, and opens more connections when needed."""

    def __init__(self, port: int, catalogue: Catalogue) -> None:
        self._port, self._catalogue = port, catalogue
        self._free: list[socket.socket] = []
        self._busy = selectors.DefaultSelector()
        self._due: dict[socket.socket, tuple[float, bytes]] = {}
        #: Seconds from the due time of each order to its response.
        self.waits: list[float] = []

    def order(self, rate: float, seconds: float) -> None:
        """Place `rate` orders per second for `seconds`, then wait for the last responses."""
        began = time.perf_counter()
        due = deque(began + number / rate for number in range(int(rate * seconds)))
        while due or self._due:
            now = time.perf_counter()
            while due and due[0] <= now:
                self._send(due.popleft(), self._make_request())
            pause = max(0.0, due[0] - time.perf_counter()) if due else 5.0
            for ready, _ in self._busy.select(pause):
                self._receive(ready.fileobj)  # type: ignore[arg-type]

    def _make_request(self) -> bytes:
        body = json.dumps(self._catalogue.make_body()).encode()
        head = (
            f"POST /api/v1/orders/ HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: {uuid4()}\r\n\r\n"
        )
        return head.encode() + body

    def _send(self, due: float, request: bytes) -> None:
        line = self._free.pop() if self._free else socket.create_connection(("127.0.0.1", self._port))
        line.settimeout(60)
        self._due[line] = due, request
        self._busy.register(line, selectors.EVENT_READ)
        try:
            line.sendall(request)
        except ConnectionError:
            self._again(line)

    def _receive(self, line: socket.socket) -> None:
        try:
            if not line.recv(1, socket.MSG_PEEK):  # the server closed the connection before it read the request
                raise ConnectionResetError
            read_answer(line)
        except ConnectionError:
            self._again(line)
            return
        due, _ = self._due.pop(line)
        self._busy.unregister(line)
        self.waits.append(time.perf_counter() - due)
        self._free.append(line)

    def _again(self, line: socket.socket) -> None:
        """Send the request of a closed connection again. Its idempotency key makes this safe."""
        due, request = self._due.pop(line)
        self._busy.unregister(line)
        line.close()
        self._free.clear()
        self._send(due, request)

    def close(self) -> None:
        """Close all connections."""
        for line in [*self._free, *self._due]:
            line.close()


def read_clock(shop: WholeShop) -> Any:
    """Return PostgreSQL's current time."""
    row = shop.database.execute("select clock_timestamp()").fetchone()
    assert row
    return row[0]


def wait_until_finished(shop: WholeShop, since: Any) -> None:
    """Wait until all orders placed after `since` are confirmed, captured and notified."""
    wait_until(lambda: not shop.read_number(_UNFINISHED_SINCE, {"since": since}), "orders stay unfinished", every=0.2)


def measure_rate(shop: WholeShop, rate: float, seconds: float) -> dict[str, Any]:
    """Place `rate` orders per second for `seconds`, and return the figures of these orders."""
    client = Client(shop.port, Catalogue(shop.skus))
    client.order(rate, 3)
    since, before, client.waits = read_clock(shop), shop.read_usage(), []
    client.order(rate, seconds)
    after = shop.read_usage()
    client.close()
    wait_until_finished(shop, since)
    times = shop.database.execute(_TIMES, {"since": since}).fetchall()
    confirmed, sent = [row[0] for row in times], [row[1] for row in times]
    post = [wait * 1000 for wait in client.waits]
    each = {name: (after[name] - before.get(name, 0.0)) / len(post) for name in after}
    counts = {name: each.pop(name) for name in ("transactions", "wal_syncs")}
    return {
        **{f"post_p{percent}_ms": percentile(post, percent) for percent in (50, 95, 99)},
        **{f"confirmed_p{percent}_s": percentile(confirmed, percent) for percent in (50, 95)},
        "sent_p95_s": percentile(sent, 95),
        "cpu_ms": sum(each.values()) * 1000,
        "cpu_ms_by_process": {name: value * 1000 for name, value in each.items()},
        **counts,
    }


def measure_highest(shop: WholeShop) -> float:
    """Return the highest rate in orders per second that the shop sustains for HIGHEST_SECONDS."""
    rate = HIGHEST_FROM
    while keeps_up(shop, rate, PROBE_SECONDS):
        rate *= HIGHEST_STEP
    while not (keeps_up(shop, rate, PROBE_SECONDS) and keeps_up(shop, rate, HIGHEST_SECONDS)):
        rate *= HIGHEST_BACK
        if rate < 10:
            raise AssertionError("the shop does not sustain 10 orders per second")
    return rate


def keeps_up(shop: WholeShop, rate: float, seconds: float) -> bool:
    """Return whether the shop sustains `rate` orders per second for `seconds`.

    It does if 99 % of the responses arrive within a second, and the backlog of unfinished orders does not grow. The
    backlog grows if it exceeds the orders of two seconds and is more than 10 % larger at the end than in the middle.
    """
    client, since = Client(shop.port, Catalogue(shop.skus)), read_clock(shop)
    unfinished = []
    for _ in range(2):
        client.order(rate, seconds / 2)
        unfinished.append(shop.read_number(_UNFINISHED_SINCE, {"since": since}))
    client.close()
    wait_until_finished(shop, since)
    in_time = percentile(client.waits, 99) < 1.0
    return in_time and (unfinished[1] <= 2 * rate or unfinished[1] <= 1.1 * unfinished[0])


def measure_idle(shop: WholeShop, seconds: float) -> dict[str, Any]:
    """Return the shop's usage without orders: CPU in per cent of one core, and transactions per second."""
    time.sleep(70)  # Autovacuum cleans up after the load; it starts once a minute.
    before = shop.read_usage()
    time.sleep(seconds)
    after = shop.read_usage()
    each = {name: (after[name] - before.get(name, 0.0)) / seconds for name in after}
    transactions, _ = each.pop("transactions"), each.pop("wal_syncs")
    return {
        "cpu_percent": sum(each.values()) * 100,
        "transactions_per_second": transactions,
        "cpu_percent_by_process": {name: value * 100 for name, value in each.items()},
    }
