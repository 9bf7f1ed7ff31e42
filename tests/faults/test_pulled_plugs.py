"""kill -9 at the worst moments, while orders come in; then count."""

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.client import Customer, OrderStream, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

SIGKILLED = -9


@pytest.fixture
def stream(running_shop: RunningShop) -> Iterator[OrderStream]:
    """A shop that is well, and a stream of orders to be started."""
    sku = find_sku(running_shop)
    give_stock(running_shop, sku)
    yield OrderStream(Customer(running_shop.base_url), make_order((sku, 1)))


def connect(shop: RunningShop) -> psycopg.Connection[Any]:
    """Connect to the running shop's database."""
    return psycopg.connect(shop.addresses["postgres"], autocommit=True)


def give_stock(shop: RunningShop, sku: str) -> None:
    """Make sure that there is enough to sell."""
    code = f"from inventory.services import receive_stock; receive_stock({sku!r}, 5000, 'test')"
    result = shop.manage("shell", "-c", code)
    assert result.returncode == 0, result.stderr


def run_until_it_kills_itself(shop: RunningShop, point: str, *command: str) -> None:
    """Run a command with a crash in it, and see that it died of it."""
    assert shop.run(*command, point=point, timeout=60).returncode == SIGKILLED


def assert_nothing_lost(shop: RunningShop, stream: OrderStream) -> None:
    """What the client was told equals what the database has, and everything adds up."""
    with connect(shop) as connection:
        rows = connection.execute(
            "select key, order_id::text from orders_idempotencykey where key like %s", [f"{stream.prefix}-%"]
        ).fetchall()
    assert dict(rows) == stream.told
    assert len(set(stream.told.values())) == len(stream.told) > 0
    assert stream.refused == []
    result = shop.manage("verify", "--wait", "90", "--json")
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["differences"] == []
    assert report["in_flight"] == {}
    assert result.returncode == 0


@pytest.mark.parametrize("point", ["relay.fetched", "relay.sent", "relay.marked"])
def test_the_relay_is_killed(running_shop: RunningShop, stream: OrderStream, point: str) -> None:
    with stream:
        running_shop.part_stop("relay")
        run_until_it_kills_itself(running_shop, point, "run_relay")
        running_shop.part_start("relay")
        time.sleep(1)
    assert_nothing_lost(running_shop, stream)


@pytest.mark.parametrize("point", ["consumer.applied", "consumer.committed", "consumer.processed"])
def test_a_consumer_is_killed_around_its_commit(running_shop: RunningShop, stream: OrderStream, point: str) -> None:
    with stream:
        running_shop.part_stop("inventory")
        run_until_it_kills_itself(running_shop, point, "consume_inventory")
        running_shop.part_start("inventory")
        time.sleep(1)
    assert_nothing_lost(running_shop, stream)


def test_celery_is_killed_between_the_charge_and_its_record(running_shop: RunningShop, stream: OrderStream) -> None:
    with stream:
        running_shop.part_stop("celery")
        worker = ["celery", "worker", "--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING"]
        run_until_it_kills_itself(running_shop, "gateway.charged", *worker)
        running_shop.part_start("celery")
        time.sleep(1)
    assert_nothing_lost(running_shop, stream)


@pytest.mark.parametrize("part", ["kafka", "postgres", "valkey"])
def test_a_part_below_is_killed(running_shop: RunningShop, stream: OrderStream, part: str) -> None:
    with stream:
        time.sleep(1)
        running_shop.part_kill(part)
        time.sleep(4)
    if part == "postgres":
        assert stream.retries > 0  # otherwise the plug was not pulled
    assert_nothing_lost(running_shop, stream)
