"""docs/runbooks/kafka-loss.md: Kafka loses all its data, and the outbox fills the topics again."""

import shutil
from datetime import UTC, datetime

import pytest

from shop.embedded.processes import wait_until
from tests.client import Customer, OrderStream, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.runbooks.conftest import confirm_orders
from tests.running_shop import RunningShop

pytestmark = pytest.mark.long
TOPICS = ("shop.orders", "shop.payments", "shop.inventory", "shop.stock")


def test_a_shop_fills_an_empty_kafka_from_the_outbox(shop: RunningShop) -> None:
    began = datetime.now(UTC).isoformat()
    confirm_orders(shop, 5)
    with OrderStream(Customer(shop.base_url), make_order((find_sku(shop), 1))) as orders:
        assert wait_until(lambda: len(orders.told) >= 10, seconds=60)
        shop.part_stop("kafka")
        shutil.rmtree(shop.var_dir / "kafka")
        shop.part_start("kafka")
        created = shop.manage("create_topics")
        assert created.returncode == 0, created.stderr
        for topic in TOPICS:
            sent = shop.manage("relay_republish", "--topic", topic, "--since", began, "--reason", "Kafka lost its data")
            assert sent.returncode == 0, sent.stderr
    confirm_orders(shop, 5)
    assert_adds_up(shop)
