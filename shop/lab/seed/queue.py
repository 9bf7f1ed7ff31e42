"""The synchronous shop with a retry queue: the customer gets an answer at once, and a consumer works through the queue.

The consumer is only a little faster than the arrivals. This suffices in calm hours, and turns ten minutes of outage
into two hours of backlog: backlog / (mu - lambda) = 600 s * lambda / (lambda / 12) = 7,200 s.
"""

import asyncio
import random
import statistics
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from shop.lab.seed.web import Body, read_database, serve_calls

#: The rate of the consumer divided by the rate of the arrivals: 8.3 % faster.
SPEED = 13 / 12


def predict_drain(outage_seconds: float, speed: float = SPEED) -> float:
    """Return the seconds that the queue needs after an outage, as arithmetic says."""
    return outage_seconds / (speed - 1)


def simulate_drain(rate: float, outage_seconds: float, seed: int, speed: float = SPEED) -> float:
    """Return the seconds from the end of an outage until the queue is empty, with Poisson arrivals at `rate`.

    The consumer finishes one order per 1 / (rate * speed) seconds. Order n is finished at
    max(its arrival, the end of order n - 1) + that time. The queue is empty when an order arrives after that.
    """
    chance = random.Random(seed)
    pause = 1 / (rate * speed)
    arrival, free = 0.0, outage_seconds
    while True:
        arrival += chance.expovariate(rate)
        if arrival > free:
            return free - outage_seconds
        free += pause


@dataclass(frozen=True, slots=True)
class Simulation:
    """The drain after an outage in minutes: as arithmetic says, and of simulated queues."""

    predicted: float
    mean: float
    shortest: float
    longest: float
    queues: int


def simulate(rate: float, outage_seconds: float, seed: int, queues: int = 20) -> Simulation:
    """Simulate `queues` outages with the seeds `seed`, `seed` + 1 and so on."""
    found = [simulate_drain(rate, outage_seconds, seed + number) / 60 for number in range(queues)]
    return Simulation(predict_drain(outage_seconds) / 60, statistics.fmean(found), min(found), max(found), queues)


def run_queue(port: int, inventory_port: int, rate: float, run_id: int) -> None:
    """Serve customers, and finish `rate` * SPEED orders of a run per second while the inventory service answers."""
    _Queue(inventory_port, 1 / (rate * SPEED), run_id).run(port)


class _Queue:
    def __init__(self, inventory_port: int, pause: float, run_id: int) -> None:
        self._inventory_port, self._pause, self._run_id = inventory_port, pause, run_id

    def run(self, port: int) -> None:
        serve_calls(port, self._answer, self._prepare)

    async def _prepare(self) -> None:
        self._database = await psycopg.AsyncConnection.connect(**read_database(), autocommit=True)
        self._consumer = asyncio.create_task(self._consume())

    async def _answer(self, order: Body) -> Body:
        await self._database.execute(
            "insert into lab_seed.queued (run, number, total) values (%s, %s, %s)",
            [order["run"], order["number"], order["total"]],
        )
        return {"message": "We have your order and will process it soon"}

    async def _consume(self) -> None:
        """Finish one order per pause, oldest first. An outage pauses the consumer."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            # An idle consumer gains nothing, but rounding of short sleeps must not slow it down.
            due = max(due, clock() - 0.1) + self._pause
            await asyncio.sleep(max(0.0, due - clock()))
            if await self._inventory_answers():
                await self._database.execute(
                    "update lab_seed.queued set done_at = clock_timestamp() where (run, number) ="
                    " (select run, number from lab_seed.queued where run = %s and done_at is null order by at limit 1)",
                    [self._run_id],
                )

    async def _inventory_answers(self) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self._inventory_port)
            writer.close()
            return True
        return False
