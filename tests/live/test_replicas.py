"""Pages stay right while live processes are killed, and while Valkey, Kafka and PostgreSQL are away.

The clients follow the rules of live.js. In the long form each page must be right within five seconds, also during the
outages; it prints the longest delay. The short form kills one process, and its clients trust their streams alone.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.live.followers import Comparison, Follower, Replicas
from tests.running_shop import RunningShop

SEED = int(os.environ["SEED"])
#: The longest delay of a page in seconds.
LIMIT = 5.0


def place_orders(shop: RunningShop, count: int) -> list[Answer]:
    """Place `count` orders."""
    customer, sku = Customer(shop.base_url), find_sku(shop)
    return [customer.place(make_order((sku, 1))) for _ in range(count)]


def cancel(shop: RunningShop, placed: Answer) -> None:
    """Cancel an order as its customer. The order may be in a state in which that is not possible."""
    url = f"{shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
    call("POST", url, {}, {"X-Order-Token": placed.body["access_token"]})


async def wait_until_right(comparison: Comparison, *, status: str | None = None, seconds: float = 90) -> None:
    """Wait until each page shows its order's status, or `status`."""
    async with asyncio.timeout(seconds):
        while not (
            await asyncio.to_thread(comparison.is_right)
            and (status is None or set((await asyncio.to_thread(comparison.read_statuses)).values()) == {status})
        ):
            await asyncio.sleep(0.2)


async def follow(
    shop: RunningShop,
    replicas: Replicas,
    placed: list[Answer],
    during: Callable[[Comparison], Awaitable[None]],
    *,
    net: bool,
) -> float:
    """Run `during` while a page follows each order, and return the longest delay of a page in seconds."""
    followers = [Follower(shop, replicas, order, number, net=net) for number, order in enumerate(placed)]
    comparison = Comparison(shop, followers)
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    await wait_until_right(comparison)
    tasks.append(asyncio.create_task(comparison.run()))
    await during(comparison)
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return comparison.worst


def test_the_pages_of_a_killed_process_continue_at_another_one(running_shop: RunningShop) -> None:
    replicas = Replicas(running_shop, 2, SEED)
    placed = place_orders(running_shop, 12)

    async def during(comparison: Comparison) -> None:
        await wait_until_right(comparison, status="confirmed")
        await asyncio.to_thread(replicas.kill_one)
        for order in placed:
            await asyncio.to_thread(cancel, running_shop, order)
        await wait_until_right(comparison, status="cancelled")

    with replicas.running():
        asyncio.run(follow(running_shop, replicas, placed, during, net=False))


@asynccontextmanager
async def without(shop: RunningShop, part: str) -> AsyncIterator[None]:
    """Stop `part` for the length of the block."""
    await asyncio.to_thread(shop.part_stop, part)
    try:
        yield
    finally:
        await asyncio.to_thread(shop.part_start, part)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_pages_are_right_within_five_seconds_through_kills_and_outages(running_shop: RunningShop) -> None:
    chance, replicas = random.Random(SEED), Replicas(running_shop, 3, SEED)
    placed = place_orders(running_shop, 100)

    async def kill() -> None:
        while True:
            await asyncio.sleep(10)
            await asyncio.to_thread(replicas.kill_one)

    async def change(seconds: float) -> None:
        """Cancel one order per second: each change is visible in the database at once."""
        for _ in range(int(seconds)):
            await asyncio.to_thread(cancel, running_shop, placed[chance.randrange(len(placed))])
            await asyncio.sleep(1)

    async def during(comparison: Comparison) -> None:
        killing = asyncio.create_task(kill())
        await change(20)
        for part, seconds in (("valkey", 25.0), ("kafka", 60.0), ("postgres", 0.0)):
            async with without(running_shop, part):
                await change(seconds)
            await change(10)
        await wait_until_right(comparison)
        killing.cancel()

    with replicas.running():
        worst = asyncio.run(follow(running_shop, replicas, placed, during, net=True))
    print(f"longest delay of 100 pages: {worst:.1f} s (seed {SEED})")
    assert worst <= LIMIT
