"""Three brokers, two relays and two inventory consumers: brokers and processes fail in turn while orders arrive."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from random import Random

import pytest
from pytest_django.fixtures import Settings

from relay.operations.cluster import read_log
from relay.publisher.outbox import hash_key
from tests.client import Customer, OrderStream, make_order
from tests.faults.brokers import Cluster, Crowd, make_cluster_shop, wait_until
from tests.faults.counting import assert_nothing_lost, connect, give_stock
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop

LONG = os.environ.get("FAULTS") == "all"
ORDERS = 2000 if LONG else 150
FREEZE_SECONDS = 30 if LONG else 6
KILL_EVERY_SECONDS = 6 if LONG else 4
TOPICS = ["shop.orders", "shop.inventory", "shop.payments"]

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def shop() -> Iterator[RunningShop]:
    """Yield a separate shop with three brokers."""
    shop = make_cluster_shop()
    shop.end_leftovers()
    shop.start(240)
    yield shop
    shop.stop(in_haste=True)


@pytest.fixture
def cluster(shop: RunningShop, settings: Settings) -> Cluster:
    """Return the shop's brokers, and let the Kafka clients of this process use them too."""
    cluster = Cluster(shop)
    settings.RELAY = {**settings.RELAY, "BOOTSTRAP_SERVERS": cluster.servers}
    return cluster


def read_first_occurrences(topics: list[str]) -> dict[tuple[str, str], list[int]]:
    """Return the sequence numbers of each (topic, key) in the order of the log, without duplicates."""
    found: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    for delivery in read_log(topics):
        found[delivery.topic, delivery.key].setdefault(delivery.sequence)
    return {key: list(sequences) for key, sequences in found.items()}


def test_nothing_is_lost_while_brokers_relays_and_consumers_fail(shop: RunningShop, cluster: Cluster) -> None:
    random = Random(os.environ["SEED"])
    sku = find_sku(shop)
    give_stock(shop, sku)
    stream = OrderStream(Customer(shop.base_url), make_order((sku, 1)), per_second=20 if LONG else 8)
    for part in ("relay", "inventory"):
        shop.part_stop(part)
    try:
        crowd = Crowd(shop, ["run_relay", "consume_inventory"] * 2, random, every_seconds=KILL_EVERY_SECONDS)
        with stream, crowd:
            cluster.kill(cluster.name_leader())
            cluster.freeze(cluster.name_leader(), FREEZE_SECONDS)
            if LONG:
                cluster.restart_all()
            deadline = time.monotonic() + 600
            while len(stream.told) < ORDERS:
                assert time.monotonic() < deadline, f"only {len(stream.told)} orders"
                time.sleep(0.5)
    finally:
        for part in ("relay", "inventory"):
            shop.part_start(part)
    assert_nothing_lost(shop, stream, wait=240 if LONG else 90)
    print(f"{len(stream.told)} orders, {crowd.kills} kills, {stream.retries} requests repeated")
    assert crowd.kills > 0
    wrong = {
        key: found for key, found in read_first_occurrences(TOPICS).items() if found != list(range(1, len(found) + 1))
    }
    assert wrong == {}
    with connect(shop) as connection:
        twice = connection.execute(
            "select event_id from inventory_movement where order_id is not null group by event_id having count(*) > 1"
        ).fetchall()
        moved = connection.execute("select count(distinct order_id) from inventory_movement").fetchone()
    assert twice == []
    assert moved and moved[0] == len(stream.told)


def publish_to_each(shop: RunningShop, topic: str, sequence: int) -> None:
    """Commit one event for each of twelve keys of `topic`, like publish()."""
    with connect(shop) as connection, connection.transaction():
        for key in map(str, range(12)):
            connection.execute(
                "insert into relay_stream (topic, key, last) values (%s, %s, %s)"
                " on conflict (topic, key) do update set last = excluded.last",
                [topic, key, sequence],
            )
            connection.execute(
                "insert into relay_outbox"
                " (topic, key, key_hash, sequence, event_id, type, occurred_at, body, created_at)"
                " values (%s, %s, %s, %s, gen_random_uuid(), 'Tested.v1', now(), '{}', clock_timestamp())",
                [topic, key, hash_key(key), sequence],
            )


def find_published(shop: RunningShop, topic: str, sequence: int) -> set[str]:
    """Return the keys whose event with number `sequence` is published."""
    with connect(shop) as connection:
        rows = connection.execute(
            "select key from relay_outbox where topic = %s and sequence = %s and published_at is not null",
            [topic, sequence],
        ).fetchall()
    return {key for (key,) in rows}


@pytest.mark.skipif(not LONG, reason="a long form: make faults")
def test_a_partition_without_a_leader_delays_no_other_partition(shop: RunningShop, cluster: Cluster) -> None:
    """Each partition of the topic is on one broker only, so a lost broker leaves its partition without a leader."""
    topic, lost = "test.leaderless", 2
    with cluster.admin() as admin:
        admin.create_topics({topic: {"assignments": {n: [n + 1] for n in range(3)}}}, wait_for_metadata=True)
    publish_to_each(shop, topic, 1)
    wait_until(lambda: len(find_published(shop, topic, 1)) == 12, "all is published", 60)
    stuck = {record.key for record in read_log([topic]) if record.partition == lost - 1}
    assert 0 < len(stuck) < 12
    shop.part_stop(f"kafka-{lost}")
    publish_to_each(shop, topic, 2)
    wait_until(lambda: len(find_published(shop, topic, 2)) == 12 - len(stuck), "the others are published", 40)
    customer = Customer(shop.base_url)
    order = customer.place(make_order((find_sku(shop), 1)))
    customer.wait_for(order, "confirmed", seconds=60)
    assert find_published(shop, topic, 2).isdisjoint(stuck)
    shop.part_start(f"kafka-{lost}")
    wait_until(lambda: len(find_published(shop, topic, 2)) == 12, "all is published", 60)
    assert set(map(tuple, read_first_occurrences([topic]).values())) == {(1, 2)}


def test_a_shop_from_wheels_alone_confirms_an_order(shop: RunningShop) -> None:
    """The shop can use PostgreSQL and Java from Python wheels. This test runs even if both are installed."""
    customer = Customer(shop.base_url)
    placed = customer.place(make_order((find_sku(shop), 1)))
    customer.wait_for(placed, "confirmed")
    assert_adds_up(shop)
