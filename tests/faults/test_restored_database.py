"""The database goes back to a copy, and Kafka keeps the later events: no phantom is applied, and all orders continue.

The copy is a real one: PostgreSQL's `create database ... template`, in a separate shop.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orders.lifecycle.saga import Happening
from tests.client import Answer, Customer, call, make_order
from tests.faults.brokers import wait_until
from tests.faults.counting import connect, give_stock
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.plugin import choose_port
from tests.running_shop import RunningShop

WRITERS = [
    *("web", "gateway", "beat", "celery", "relay"),
    *("orders", "inventory", "payments", "notifications", "analytics", "bought_together"),
]
COPY = "copy_of_yesterday"


@pytest.fixture
def shop() -> Iterator[RunningShop]:
    """A separate shop, because its database is replaced."""
    folder = Path(os.environ["VAR_DIR"])
    shop = RunningShop(choose_port(9300), folder.with_name(f"{folder.name}-restored"))
    shop.end_leftovers()
    shop.start(timeout=240)
    yield shop
    shop.stop()


def run_sql(shop: RunningShop, *statements: str) -> None:
    """Run `statements` outside the shop's database, which they may copy and drop."""
    address = shop.addresses["postgres"].rpartition("/")[0] + "/postgres"
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def copy_database(shop: RunningShop, source: str, target: str) -> None:
    """Replace the database `target` by a copy of `source`, while no part of the shop runs that writes."""
    for part in WRITERS:
        shop.part_stop(part)
    run_sql(shop, f"drop database if exists {target} with (force)", f"alter database {source} allow_connections false")
    run_sql(shop, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{source}'")  # noqa: S608
    run_sql(shop, f"create database {target} template {source}", f"alter database {source} allow_connections true")
    run_sql(shop, f"alter database {target} allow_connections true")


def start(shop: RunningShop, *, without: tuple[str, ...] = ()) -> None:
    for part in WRITERS:
        if part not in without:
            shop.part_start(part)


def move(shop: RunningShop, placed: Answer, happening: Happening) -> None:
    """Move an order on, as staff do."""
    code = (
        "from django.db import transaction; from orders.lifecycle.transitions import advance_order\n"
        "from orders.lifecycle.saga import Happening; from uuid import UUID\n"
        f"with transaction.atomic(): advance_order(UUID({placed.body['id']!r}), Happening.{happening.name}, by='staff')"
    )
    done = shop.manage("shell", "--no-imports", "-c", code)
    assert done.returncode == 0, done.stderr


def cancel(shop: RunningShop, placed: Answer) -> None:
    url = f"{shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
    assert call("POST", url, {}, {"X-Order-Token": placed.body["access_token"]}).status == 200


def read(shop: RunningShop, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connect(shop) as connection:
        return connection.execute(sql, parameters).fetchall()


@pytest.mark.long
def test_a_restored_database_applies_no_phantom_and_every_later_event(shop: RunningShop) -> None:
    customer, sku = Customer(shop.base_url), find_sku(shop)
    give_stock(shop, sku)  # so no StockLow is among the phantoms
    shipped, untouched = (customer.place(make_order((sku, 1))) for _ in range(2))
    for placed in (shipped, untouched):
        customer.wait_for(placed, "confirmed")
    assert_adds_up(shop)
    copy_database(shop, "shop", COPY)

    # The time that the database will lose: Kafka gets a cancellation and a whole order. Notifications sees neither.
    start(shop, without=("notifications",))
    cancel(shop, shipped)
    lost = customer.place(make_order((sku, 1)))
    customer.wait_for(lost, "confirmed")
    waiting = "select from relay_outbox where published_at is null"
    refunded = "select from payments_payment where status = 'refunded' and order_id = %s"
    wait_until(lambda: bool(read(shop, refunded, shipped.body["id"])), "the money is refunded", 60)
    wait_until(lambda: not read(shop, waiting), "the events of the lost time are in Kafka", 60)
    (phantom,) = read(
        shop,
        "select event_id::text, sequence from relay_outbox where key = %s and type like 'OrderCancelled.%%'",
        shipped.body["id"],
    )
    copy_database(shop, COPY, "shop")

    # The same key gets another event with the number of the phantom, and new orders arrive.
    start(shop)
    assert customer.read(shipped)["status"] == "confirmed"
    assert call("GET", f"{shop.base_url}/api/v1/orders/{lost.body['id']}/").status == 404
    move(shop, shipped, Happening.MARKED_SHIPPED)
    later = customer.place(make_order((sku, 1)))
    customer.wait_for(later, "confirmed")
    parked = "select reason from relay_cursor where consumer = 'notifications' and key = %s and parked_at is not null"
    wait_until(lambda: bool(read(shop, parked, shipped.body["id"])), "notifications parks the phantom", 60)
    ((reason,),) = read(shop, parked, shipped.body["id"])
    assert f"record of sequence {phantom[1]} " in reason and f"has event {phantom[0]} (OrderCancelled.v1)" in reason

    dry = json.loads(shop.manage("relay_after_restore", "--dry-run", "--json").stdout)
    assert {found["key"] for found in dry["foreign"]} == {shipped.body["id"], lost.body["id"]}
    assert (phantom[0], phantom[1]) in {(found["event_id"], found["sequence"]) for found in dry["foreign"]}
    assert shop.manage("relay_after_restore").returncode == 1, "a reason is needed"
    done = shop.manage("relay_after_restore", "--reason", "restored the copy of yesterday")
    assert done.returncode == 0, done.stderr
    assert f"shop.orders/{shipped.body['id']}: Kafka's record of sequence {phantom[1]} " in done.stdout
    assert read(shop, "select reason from relay_intervention where action = 'restore'") == [
        ("restored the copy of yesterday",)
    ]

    move(shop, shipped, Happening.MARKED_DELIVERED)
    assert_adds_up(shop)
    assert customer.read(shipped)["status"] == "delivered"
    for placed in (untouched, later):
        assert customer.read(placed)["status"] == "confirmed"
    letters = read(shop, "select event_id::text from notifications_message where order_id = %s", shipped.body["id"])
    assert phantom[0] not in {event_id for (event_id,) in letters}
    assert read(shop, "select from relay_cursor where parked_at is not null") == []
