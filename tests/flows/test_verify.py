"""`manage.py verify` on the running shop names each error that a test creates by hand."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def order(running_shop: RunningShop) -> dict[str, Any]:
    """Return a confirmed order in a shop without differences. Each test removes the error that it has created."""
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 2)))
    confirmed: dict[str, Any] = customer.wait_for(placed, "confirmed")
    assert_adds_up(running_shop)
    return confirmed


@pytest.fixture
def database(running_shop: RunningShop) -> Iterator[Connection]:
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as connection:
        yield connection


@contextmanager
def deleted(database: Connection, table: str, where: str, *parameters: Any) -> Iterator[None]:
    """Delete rows inside the block and insert them again afterwards."""
    schema, _, name = table.rpartition(".")
    identifier = Identifier(schema, name) if schema else Identifier(name)
    query = SQL("with gone as (delete from {} where {} returning *) select row_to_json(gone)::text from gone")
    rows = database.execute(query.format(identifier, SQL(where)), parameters).fetchall()
    assert rows
    try:
        yield
    finally:
        back = SQL("insert into {0} overriding system value select * from json_populate_record(null::{0}, %s)")
        for (row,) in rows:
            database.execute(back.format(identifier), [row])


@contextmanager
def changed(database: Connection, forth: str, back: str, *parameters: Any) -> Iterator[None]:
    """Run the statement `forth` before the block and the statement `back` after it."""
    assert database.execute(forth, parameters).rowcount == 1
    try:
        yield
    finally:
        database.execute(back, parameters)


def lose_outbox_row(database: Connection, order: dict[str, Any]) -> Any:
    return deleted(database, "relay_outbox", "key = %s and type = 'OrderConfirmed.v1'", order["id"])


def lose_movement(database: Connection, order: dict[str, Any]) -> Any:
    return deleted(database, "inventory_movement", "order_id = %s and kind = 'sold'", order["id"])


def lose_ledger_entry(database: Connection, order: dict[str, Any]) -> Any:
    key = "idempotency_key = (select id::text from payments_payment where order_id = %s) || ':capture'"
    return deleted(database, "sandbox_gateway.ledger", key, order["id"])


def lose_message(database: Connection, order: dict[str, Any]) -> Any:
    return deleted(database, "notifications_message", "order_id = %s", order["id"])


def turn_cursor_back(database: Connection, order: dict[str, Any]) -> Any:
    update = "update relay_cursor set last = last {} 1 where consumer = 'inventory' and key = %s"
    return changed(database, update.format("-"), update.format("+"), order["id"])


def change_sales(database: Connection, order: dict[str, Any]) -> Any:
    update = (
        "update analytics_minute set count = count {} 1 where kind = 'confirmed'"
        " and minute = date_trunc('minute', %s::timestamptz)"
    )
    return changed(database, update.format("+"), update.format("-"), order["confirmed_at"])


@pytest.mark.parametrize(
    ("break_it", "rule", "named"),
    [
        (lose_outbox_row, "every order has its events", "number"),
        (lose_outbox_row, "every stream is gapless", "id"),
        (lose_movement, "stock adds up", "sku"),
        (lose_ledger_entry, "money adds up", "id"),
        (lose_message, "every applied event has its effect", "id"),
        (turn_cursor_back, "every cursor is at the end of its stream", "id"),
        (change_sales, "analytics equals a recount of the outbox", "minute"),
    ],
)
def test_verify_names_what_is_broken(
    running_shop: RunningShop,
    database: Connection,
    order: dict[str, Any],
    break_it: Callable[[Connection, dict[str, Any]], Any],
    rule: str,
    named: str,
) -> None:
    names = {
        "id": order["id"],
        "number": order["number"],
        "sku": order["lines"][0]["sku"],
        "minute": order["confirmed_at"][:16].replace("T", " "),
    }
    deadline = time.monotonic() + 60
    with break_it(database, order):
        result = running_shop.manage("verify", "--json")
        # Events above Kafka's committed offsets are in flight, so verify may report the error a little later.
        while not result.returncode and time.monotonic() < deadline:
            result = running_shop.manage("verify", "--json")
    assert result.returncode == 1
    found = [d["difference"] for d in json.loads(result.stdout)["differences"] if d["rule"] == rule]
    assert any(names[named] in difference for difference in found), result.stdout
    assert_adds_up(running_shop)
