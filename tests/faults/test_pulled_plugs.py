"""kill -9 at the worst moments, while orders come in; then count."""

import time

import pytest

from tests.client import OrderStream
from tests.faults.counting import assert_nothing_lost
from tests.running_shop import RunningShop

SIGKILLED = -9


def run_until_it_kills_itself(shop: RunningShop, point: str, *command: str) -> None:
    """Run a command with a crash in it, and see that it died of it."""
    assert shop.run(*command, point=point, timeout=60).returncode == SIGKILLED


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
