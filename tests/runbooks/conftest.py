"""A whole shop for each runbook, and the orders that tests place in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import Answer, Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.plugin import choose_port
from tests.running_shop import RunningShop

#: Parts that write to the database or to Kafka, in the order in which a runbook stops them.
WRITERS = (
    "web",
    "beat",
    "celery",
    "relay",
    "orders",
    "inventory",
    "payments",
    "notifications",
    "analytics",
    "bought_together",
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    shop = RunningShop(choose_port(8400), tmp_path / "var")
    shop.start()
    yield shop
    shop.stop()
    shop.end_leftovers()


def stop_writers(shop: RunningShop) -> None:
    for name in WRITERS:
        shop.part_stop(name)


def start_writers(shop: RunningShop) -> None:
    for name in reversed(WRITERS):
        shop.part_start(name)


def confirm_orders(shop: RunningShop, number: int) -> list[Answer]:
    """Place `number` orders, wait until each is confirmed, and return the answers."""
    customer = Customer(shop.base_url)
    placed = [customer.place(make_order((find_sku(shop), 1))) for _ in range(number)]
    for order in placed:
        assert order.status == 201, order.body
        customer.wait_for(order, "confirmed", seconds=60)
    return placed
