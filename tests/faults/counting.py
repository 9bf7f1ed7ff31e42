"""The comparison of the client's answers with the shop's database."""

import json
from typing import Any

import psycopg

from tests.client import OrderStream
from tests.running_shop import RunningShop


def connect(shop: RunningShop) -> psycopg.Connection[Any]:
    """Connect to the running shop's database."""
    return psycopg.connect(shop.addresses["postgres"], autocommit=True)


def give_stock(shop: RunningShop, sku: str) -> None:
    """Receive 5,000 pieces of `sku`."""
    code = f"from inventory.services import receive_stock; receive_stock({sku!r}, 5000, 'test')"
    result = shop.manage("shell", "-c", code)
    assert result.returncode == 0, result.stderr


def assert_nothing_lost(shop: RunningShop, stream: OrderStream, *, wait: int = 90) -> None:
    """Assert that the client and the database have the same orders, and that `verify` passes within `wait` seconds."""
    with connect(shop) as connection:
        rows = connection.execute(
            "select key, order_id::text from orders_idempotencykey where key like %s", [f"{stream.prefix}-%"]
        ).fetchall()
    assert dict(rows) == stream.told
    assert len(set(stream.told.values())) == len(stream.told) > 0
    assert stream.refused == []
    result = shop.manage("verify", "--wait", str(wait), "--json", timeout=wait + 120)
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["differences"] == []
    assert report["in_flight"] == {}
    assert result.returncode == 0
