"""Forged events in Kafka move no money and ship nothing: they are parked, and the real events are applied."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from kafka import KafkaProducer

from relay import Event
from relay.process.connection import read_connection
from shop.events import PaymentAuthorized, PaymentCaptured
from tests.client import Customer, call, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop

Read = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def read(running_shop: RunningShop) -> Read:
    """Return a function that runs a query on the shop's database and returns its rows."""

    def query(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(running_shop.addresses["postgres"]) as connection:
            return connection.execute(sql, parameters).fetchall()

    return query


def send(shop: RunningShop, *events: Event) -> None:
    """Send `events` of one key as sequence 1, 2 ... with the headers that the relay would send."""
    producer = KafkaProducer(**read_connection(), allow_auto_create_topics=False)
    for sequence, event in enumerate(events, start=1):
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(event.event_id),
            "ce_type": event.type_name(),
            "ce_source": "/shop",
            "ce_subject": event.key,
            "ce_time": event.occurred_at.isoformat(),
            "ce_sequence": str(sequence),
            "content-type": "application/json",
        }
        sent = [(name, value.encode()) for name, value in headers.items()]
        producer.send(event.topic, value=event.encode(), key=event.key.encode(), headers=sent).get(timeout=20)
    producer.close()


def wait_until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_two_forged_payments_of_a_declined_card_move_no_money_and_ship_nothing(
    running_shop: RunningShop, read: Read
) -> None:
    running_shop.part_stop("celery")  # so the real answer of the gateway comes later
    customer = Customer(running_shop.base_url)
    try:
        placed = customer.place(make_order((find_sku(running_shop), 1), token="tok_declined"))
        order_id = placed.body["id"]
        wait_until(lambda: read("select from orders_order where id = %s and stock = 'reserved'", order_id), "no stock")
        money = {"order_id": UUID(order_id), "amount": placed.body["total"], "currency": "EUR"}
        moment = datetime.now(UTC)
        forged = [kind(**money, event_id=uuid4(), occurred_at=moment) for kind in (PaymentAuthorized, PaymentCaptured)]
        send(running_shop, *forged)
        parked = "select reason, next_try_at from relay_cursor where consumer = 'orders' and topic = 'shop.payments'"
        parked += " and key = %s and parked_at is not null"
        wait_until(lambda: read(parked, order_id), "the key is not parked")
        noticed = "select sequence from relay_foreignrecord where key = %s and explained_at is null order by sequence"
        wait_until(lambda: read(noticed, order_id) == [(1,), (2,)], "the forged records are not stored")
        ((reason, next_try_at),) = read(parked, order_id)
        assert f"event {forged[0].event_id} (PaymentAuthorized.v1), and the outbox has no event" in reason
        assert next_try_at is None
        assert customer.read(placed)["status"] == "placed"
        assert read("select from inventory_movement where order_id = %s and kind = 'sold'", order_id) == []
        assert read("select status from payments_payment where order_id = %s", order_id) == [("pending",)]
    finally:
        running_shop.part_start("celery")
    metrics = call("GET", f"{running_shop.base_url}/metrics").body
    assert "relay_foreign_records 2.0" in metrics
    assert json.loads(running_shop.manage("status", "--json").stdout)["outbox"]["foreign"] == 2
    real = "select from relay_outbox where topic = 'shop.payments' and key = %s and published_at is not null"
    wait_until(lambda: read(real, order_id), "the real decline is not published")
    assert customer.read(placed)["status"] == "placed"
    redriven = running_shop.manage("relay_parked", "redrive", "--group", "UnknownOrigin", "--reason", "the real answer")
    assert redriven.returncode == 0, redriven.stderr
    assert customer.wait_for(placed, "cancelled")["reason"] == "payment_declined"
    report = json.loads(running_shop.manage("verify", "--wait", "60", "--json").stdout)
    named = [found["difference"] for found in report["differences"]]
    assert len(named) == 2
    assert all(f"shop.payments/{order_id}: Kafka's record of sequence" in sentence for sentence in named)
    explained = running_shop.manage("relay_after_restore", "--reason", "forged by a test", "--json")
    assert explained.returncode == 0, explained.stderr
    assert [found["type"] for found in json.loads(explained.stdout)["foreign"]] == [f.type_name() for f in forged]
    assert_adds_up(running_shop)
    assert "relay_foreign_records 0.0" in call("GET", f"{running_shop.base_url}/metrics").body
