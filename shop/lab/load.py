"""The customers of a run: one process sends each order to every shop, and stores what each customer saw.

All requests go to 127.0.0.1. Each customer of our shop has an address of its own in 127.9.0.0/16, because the shop
limits the requests of one address. A customer's time begins when the order is due, also if this process is late.
"""

import asyncio
import json
import resource
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from shop.lab.arrivals import Arrival
from shop.lab.scenarios import Plan
from shop.lab.seed.web import find_length, read_database

#: Addresses of our shop's customers. With 300 requests per minute each, they place up to 1,000 orders/s.
ADDRESSES = 200
WRITE_SECONDS = 0.25
#: Requests in flight to one shop. Above this, a customer gives up at once, so the load stays bounded.
MOST_IN_FLIGHT = 6000
_POSTAL = {"name": "Lab", "line1": "Testweg 1", "postal_code": "10115", "city": "Berlin", "country": "DE"}
_WRITE = """
insert into lab.request (run, shop, number, due, asked, answered, status, outcome, total, order_id)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (run, shop, number) do update
set answered = excluded.answered, status = excluded.status, outcome = excluded.outcome, order_id = excluded.order_id
"""


@dataclass(slots=True)
class Request:
    """One order in one shop, as its customer saw it. Times are real seconds since the run's start."""

    shop: str
    arrival: Arrival
    asked: float
    answered: float | None = None
    status: int | None = None
    outcome: str | None = None
    order_id: UUID | None = None


@dataclass(slots=True)
class Target:
    """A shop: its port, its path, and the real seconds after which a customer gives up."""

    name: str
    port: int
    patience: float
    path: str = "/"
    idle: dict[str, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = field(default_factory=dict)
    in_flight: int = 0


def run_load(run: int, plan: Plan, targets: list[Target], seed: int, product: str, began: float) -> None:
    """Send the plan's orders to `targets`. `began` is the monotonic time of the run's start. SIGTERM stops the load."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * MOST_IN_FLIGHT, most), most))
    asyncio.run(Load(run, plan, targets, seed, product, began).work())


class Load:
    """The customers of the run with the id `run`."""

    def __init__(self, run: int, plan: Plan, targets: list[Target], seed: int, product: str, began: float) -> None:
        self._run, self._plan, self._targets = run, plan, targets
        self._seed, self._product, self._began = seed, product, began
        self._changed: list[Request] = []
        self._unwritten: list[Request] = []  # the database did not accept these rows
        self._write_lock = threading.Lock()

    async def work(self) -> None:
        """Send all orders at their times, and wait for the last answers."""
        self._database = psycopg.connect(**read_database(), autocommit=True)
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        writer = asyncio.create_task(self._write_often())
        customers: set[asyncio.Task[None]] = set()
        for arrival in self._plan.make_stream(self._seed, self._product):
            if await self._sleep(arrival.due, stopping):
                break
            for target in self._targets:
                task = asyncio.create_task(self._buy(target, arrival))
                customers.add(task)
                task.add_done_callback(customers.discard)
        if stopping.is_set():
            for task in customers:
                task.cancel()
        stop = asyncio.create_task(stopping.wait())
        while customers and not stopping.is_set():
            await asyncio.wait({stop, *customers}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        writer.cancel()
        self._write(self._take_changed())
        self._database.close()

    async def _sleep(self, due: float, stopping: asyncio.Event) -> bool:
        """Wait until the second `due` of the run. Return whether the load must stop."""
        pause = due - self._clock()
        if pause > 0.002:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
        return stopping.is_set()

    def _clock(self) -> float:
        return time.monotonic() - self._began

    async def _buy(self, target: Target, arrival: Arrival) -> None:
        request = Request(target.name, arrival, self._clock())
        self._changed.append(request)
        target.in_flight += 1
        try:
            if target.in_flight > MOST_IN_FLIGHT:
                raise TimeoutError
            async with asyncio.timeout(target.patience):
                request.status, body = await self._send(target, arrival)
            is_well = 200 <= request.status < 300
            # "Sold out" is a true answer in a flash sale, and no lost sale.
            request.outcome = "ok" if is_well else "sold out" if request.status == 409 else "failed"
            request.order_id = UUID(body["id"]) if is_well and "id" in body else None
        except TimeoutError:
            request.outcome = "gave up"
        except (OSError, ValueError, asyncio.IncompleteReadError):
            request.outcome = "failed"
        finally:
            target.in_flight -= 1
        request.answered = self._clock()
        self._changed.append(request)

    async def _send(self, target: Target, arrival: Arrival) -> tuple[int, Any]:
        message = self._make_message(target, arrival)
        address = f"127.9.0.{1 + arrival.number % ADDRESSES}"
        free = target.idle.setdefault(address, [])
        if free:
            line = free.pop()
            try:
                return await self._exchange(line, message, free)
            except (ConnectionError, asyncio.IncompleteReadError):
                line[1].close()  # closed while idle; the idempotency key makes a repetition safe
        line = await asyncio.open_connection("127.0.0.1", target.port, local_addr=(address, 0))
        try:
            return await self._exchange(line, message, free if target.name == "ours" else None)
        except BaseException:
            line[1].close()
            raise

    async def _exchange(
        self, line: tuple[asyncio.StreamReader, asyncio.StreamWriter], message: bytes, free: list[Any] | None
    ) -> tuple[int, Any]:
        reader, writer = line
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(find_length(head))
        if free is None or b"connection: close" in head.lower():
            writer.close()
        else:
            free.append(line)
        return int(head.split(b" ", 2)[1]), json.loads(body)

    def _make_message(self, target: Target, arrival: Arrival) -> bytes:
        order: dict[str, Any] = {"run": self._run, "number": arrival.number, "total": arrival.total}
        order["lines"] = arrival.lines
        if target.name == "ours":
            order = {
                "email": f"lab-{self._run}-{arrival.number}@example.com",
                "payment_token": "tok_ok",
                "shipping_address": _POSTAL,
                "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in arrival.lines],
                "expected_total": arrival.total,
            }
        body = json.dumps(order).encode()
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nIdempotency-Key: lab-{self._run}-{arrival.number}\r\n\r\n"
        )
        return head.encode() + body

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await asyncio.to_thread(self._write, self._take_changed())

    def _take_changed(self) -> list[Request]:
        changed, self._changed = self._changed, []
        return changed

    def _write(self, changed: list[Request]) -> None:
        """Store the changed requests. A lost connection to the database loses no row: a later call writes it."""
        with self._write_lock:
            changed, self._unwritten = [*self._unwritten, *changed], []
            # A request appears once for its question and once for its answer: its newest state is enough.
            rows = {(request.shop, request.arrival.number): request for request in changed}
            try:
                if self._database.closed:
                    self._database = psycopg.connect(**read_database(), autocommit=True)
                with self._database.transaction(), self._database.cursor() as cursor:
                    cursor.executemany(_WRITE, [self._describe(request) for request in rows.values()])
            except psycopg.OperationalError:
                self._unwritten = changed

    def _describe(self, request: Request) -> list[Any]:
        arrival = request.arrival
        return [
            *(self._run, request.shop, arrival.number, arrival.due, request.asked, request.answered, request.status),
            *(request.outcome if request.answered is not None else None, arrival.total, request.order_id),
        ]
