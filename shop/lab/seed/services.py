"""The four services that the synchronous shop calls one after the other. Each is a process of its own.

Inventory takes 2 s, payments 3 s, e-mail 1 s, analytics no time. The time factor divides these seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from zlib import crc32

import psycopg

from shop.lab.seed.web import Body, ServiceFailed, read_database, serve_calls

#: Seconds of work at time factor 1.
SECONDS = {"inventory": 2.0, "payments": 3.0, "email": 1.0, "analytics": 0.0}


#: A bug hits one order in this number.
ONE_IN = 8


def run_service(name: str, port: int, factor: int, has_bug: bool = False) -> None:
    """Run the service `name` until the process ends. With a bug it fails for one order in ONE_IN."""
    Service(name, factor, has_bug=has_bug).run(port)


class Service:
    """One service with one connection to the database."""

    def __init__(self, name: str, factor: int, *, has_bug: bool = False) -> None:
        self._has_bug = has_bug
        self._seconds = SECONDS[name] / factor
        works = {"inventory": check_stock, "payments": take_payment, "email": send_letter, "analytics": track_sale}
        self._work: Callable[[Service, Body, float], Awaitable[Body]] = works[name]
        self._database: psycopg.AsyncConnection[Any]

    def run(self, port: int) -> None:
        """Serve calls on `port`."""
        serve_calls(port, self._answer, self._connect)

    async def _connect(self) -> None:
        self._database = await psycopg.AsyncConnection.connect(**read_database(), autocommit=True)

    async def _answer(self, order: Body) -> Body:
        if self._has_bug and crc32(str(order["number"]).encode()) % ONE_IN == 0:
            raise ServiceFailed("the letter's template is missing")
        return await self._work(self, order, asyncio.get_running_loop().time() + self._seconds)

    async def sleep(self, until: float) -> None:
        """Sleep until the loop's time `until`, so that the service's own work does not add to its seconds."""
        await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))

    async def write(self, statement: Any, values: list[Any]) -> None:
        """Run a statement."""
        await self._database.execute(statement, values)

    async def read(self, statement: Any, values: list[Any]) -> Any:
        """Return the first row."""
        return await (await self._database.execute(statement, values)).fetchone()


async def check_stock(service: Service, order: Body, until: float) -> Body:
    """Check all lines, work for two seconds, then decrement. Two orders that check at the same time both succeed."""
    skus = [sku for sku, _ in order["lines"]]
    found = await service.read("select min(available) from lab_seed.stock where sku = any(%s)", [skus])
    await service.sleep(until)
    if found[0] is None or found[0] < 1:
        return {"in_stock": False}
    await service.write(
        "update lab_seed.stock s set available = available - quantity"
        " from unnest(%s::text[], %s::int[]) as line (sku, quantity) where s.sku = line.sku",
        [skus, [quantity for _, quantity in order["lines"]]],
    )
    return {"in_stock": True}


async def take_payment(service: Service, order: Body, until: float) -> Body:
    """Charge the card."""
    await service.write(
        "insert into lab_seed.payment (run, number, total) values (%s, %s, %s)",
        [order["run"], order["number"], order["total"]],
    )
    await service.sleep(until)
    return {"paid": True}


async def send_letter(service: Service, order: Body, until: float) -> Body:
    """Send the letter of confirmation."""
    await service.write("insert into lab_seed.letter (run, number) values (%s, %s)", [order["run"], order["number"]])
    await service.sleep(until)
    return {"sent": True}


async def track_sale(service: Service, order: Body, until: float) -> Body:
    """Count the sale."""
    await service.write(
        "insert into lab_seed.sale (run, number, total) values (%s, %s, %s)",
        [order["run"], order["number"], order["total"]],
    )
    return {"counted": True}
