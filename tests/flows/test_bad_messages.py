"""A malformed message in the shop's topics parks its key with a reason and stops no other key."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from relay.process.connection import read_connection
from shop.embedded.processes import wait_until
from tests.client import Customer, make_order
from tests.faults.counting import connect
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

Headers = list[tuple[str, bytes]]
CONSUMERS = ["analytics", "bought_together", "inventory", "notifications", "payments"]  # of shop.orders


@pytest.fixture(scope="module", autouse=True)
def explained(running_shop: RunningShop) -> Iterator[None]:
    """Explain the records of this module at its end, because `verify` names them until then."""
    yield
    done = running_shop.manage("relay_after_restore", "--reason", "sent by tests")
    assert done.returncode == 0, done.stderr


def send_raw(shop: RunningShop, key: bytes | None, value: bytes, headers: Headers) -> None:
    producer = KafkaProducer(**read_connection(), allow_auto_create_topics=False)
    producer.send("shop.orders", value=value, key=key, headers=headers).get(timeout=20)
    producer.close()


def wait_for_parked(shop: RunningShop, key: str, reason: str) -> None:
    """Wait until each consumer of the topic has parked `key`, with a reason that contains `reason`."""
    query = "select consumer, reason from relay_cursor where key = %s and parked_at is not null"
    with connect(shop) as database:
        wait_until(lambda: len(database.execute(query, [key]).fetchall()) >= len(CONSUMERS), seconds=60)
        parked: dict[str, str] = dict(database.execute(query, [key]).fetchall())
    assert sorted(parked) == CONSUMERS
    assert all(reason in found for found in parked.values()), parked


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"{}", [], "it has no ce_type header"),
        (b"{}", [("ce_type", b"OrderPlaced.v1"), ("ce_sequence", b"first")], "its ce_sequence header is b'first'"),
        (b"not json", [("ce_type", b"OrderPlaced.v1"), ("ce_sequence", b"1")], "UnknownOrigin: Kafka's record of"),
        (b"{}", [("ce_type", b"OrderTeleported.v1"), ("ce_sequence", b"1")], "(OrderTeleported.v1), and the outbox"),
        (b"{}", [("ce_type", b"OrderPlaced.v1"), ("ce_sequence", b"7")], "the outbox has no event with this sequence"),
    ],
)
def test_a_bad_message_parks_its_key_and_other_orders_continue(
    running_shop: RunningShop, value: bytes, headers: Headers, reason: str
) -> None:
    key = f"stranger-{uuid4()}"
    send_raw(running_shop, key.encode(), value, headers)
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1)))
    wait_for_parked(running_shop, key, reason)
    assert min(read_parked(running_shop)[name] for name in CONSUMERS) > 0
    customer.wait_for(placed, "confirmed")


def read_parked(shop: RunningShop) -> dict[str, int]:
    """Return the number of parked keys of each consumer, as in the output of `status`."""
    consumers = json.loads(shop.manage("status", "--json").stdout)["consumers"]
    return {name: consumer["parked"] for name, consumer in consumers.items()}


def test_a_message_without_a_key_is_parked_too(running_shop: RunningShop) -> None:
    send_raw(running_shop, None, b"{}", [("ce_type", b"OrderPlaced.v1"), ("ce_sequence", b"1")])
    wait_for_parked(running_shop, "", "it has no key")
