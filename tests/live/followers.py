"""Several live processes, and clients that follow orders from any of them by the rules of live.js."""

import asyncio
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from shop.embedded.processes import wait_until
from tests.client import Answer, call
from tests.running_shop import BASE_DIR, RunningShop

#: Seconds between two fetches of a page without a stream, and of a page with one (a net in case of a lost ring).
POLL_SECONDS, NET_SECONDS = 2.0, 15.0
#: Orders for one loopback address, because a live process limits the streams of an address.
PER_ADDRESS = 40


class Replicas:
    """Live processes of `shop`, as behind a load balancer: `choose` returns the port of one that runs."""

    def __init__(self, shop: RunningShop, count: int, seed: int) -> None:
        self._shop = shop
        self._random = random.Random(seed)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._count = count

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the processes during the block."""
        for _ in range(self._count):
            port = find_free_port()
            self._running[port] = self._start(port)
        try:
            wait_until(lambda: all(map(is_serving, self._running)), seconds=60)
            yield
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(BASE_DIR / "manage.py"), "run_live", "--host", "127.0.0.1", "--port", str(port)]
        return subprocess.Popen(
            command, cwd=BASE_DIR, env=self._shop.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def choose(self) -> int:
        """Return the port of a random process that accepts connections, or of any if none does."""
        return self._random.choice([port for port in self._running if is_serving(port)] or [*self._running])

    def kill_one(self) -> None:
        """Kill a random process, and start another one at its port."""
        port = self._random.choice([*self._running])
        self._running[port].send_signal(signal.SIGKILL)
        self._running[port].wait()
        self._running[port] = self._start(port)


def find_free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_serving(port: int) -> bool:
    """Return whether a live process answers at `port`."""
    with suppress(OSError):
        return call("GET", f"http://127.0.0.1:{port}/healthz", timeout=2).status == 200
    return False


class Follower:
    """A page of one order. `shown` is the status that it shows; `fetches` counts its requests."""

    def __init__(self, shop: RunningShop, replicas: Replicas, placed: Answer, number: int, *, net: bool) -> None:
        self.order = str(placed.body["id"])
        self.shown = ""
        self.fetches = 0
        self._token = placed.body["access_token"]
        self._url = f"{shop.base_url}/api/v1/orders/{self.order}/"
        self._replicas = replicas
        self._source = (f"127.0.2.{1 + number // PER_ADDRESS}", 0)
        self._net = net
        self._is_open = False
        self._retry = 3.0

    async def follow(self) -> None:
        """Show the order until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._poll())

    async def _poll(self) -> None:
        while True:
            await self._fetch()
            await asyncio.sleep(POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(NET_SECONDS if self._net else None):
                    while self._is_open:
                        await asyncio.sleep(0.5)

    async def _fetch(self) -> None:
        self.fetches += 1
        with suppress(OSError):
            answer = await asyncio.to_thread(call, "GET", self._url, None, {"X-Order-Token": self._token})
            if answer.status == 200:
                self.shown = answer.body["status"]

    async def _listen(self) -> None:
        while True:
            pause = self._retry
            with suppress(OSError, asyncio.IncompleteReadError):
                pause = await self._listen_once(await asyncio.to_thread(self._replicas.choose))
            self._is_open = False
            await asyncio.sleep(pause)

    async def _listen_once(self, port: int) -> float:
        """Fetch the order at each ring, and return the seconds to wait until the next stream."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=self._source)
        try:
            head = f"GET /api/v1/orders/{self.order}/events/ HTTP/1.1\r\nHost: localhost\r\nX-Order-Token: "
            writer.write(f"{head}{self._token}\r\n\r\n".encode())
            if b" 200 " not in await reader.readuntil(b"\r\n"):
                return random.uniform(30, 60)
            self._is_open = True
            event = ""
            while True:
                line = (await reader.readuntil(b"\n")).decode().strip()
                field, _, value = line.partition(": ")
                if field == "retry":
                    self._retry = int(value) / 1000
                elif field == "event":
                    event = value
                elif field == "data" and event == "order":
                    await self._fetch()
                elif field == "data" and event == "bye":
                    return int(value) / 1000
        finally:
            writer.close()


class Comparison:
    """Compares what the followers show with the database, all the time. `worst` is the longest delay in seconds.

    A delay begins when the database answers: while it is away, no page can be right.
    """

    def __init__(self, shop: RunningShop, followers: list[Follower]) -> None:
        self._address = shop.addresses["postgres"]
        self._followers = followers
        self._wrong_since: dict[str, float] = {}
        self.worst = 0.0

    async def run(self) -> None:
        """Compare four times per second until the task is cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            try:
                statuses = await asyncio.to_thread(self.read_statuses)
            except psycopg.Error:
                self._wrong_since.clear()
            else:
                self._compare(statuses, now)
            await asyncio.sleep(0.25)

    def _compare(self, statuses: dict[str, str], now: float) -> None:
        for follower in self._followers:
            if statuses.get(follower.order) == follower.shown:
                self._wrong_since.pop(follower.order, None)
            else:
                self.worst = max(self.worst, now - self._wrong_since.setdefault(follower.order, now))

    def read_statuses(self) -> dict[str, str]:
        """Return the status of each order by its id."""
        orders: list[Any] = [follower.order for follower in self._followers]
        with psycopg.connect(self._address, connect_timeout=2) as db:
            found = db.execute("select id::text, status from orders_order where id = any(%s::uuid[])", [orders])
            return dict(found.fetchall())

    def is_right(self) -> bool:
        """Return whether each follower shows the status of its order."""
        statuses = self.read_statuses()
        return all(statuses.get(follower.order) == follower.shown for follower in self._followers)
