"""docs/runbooks/failover.md: a replica that lags takes over from PostgreSQL while orders come in."""

import pytest

from shop.embedded.processes import wait_until
from tests.client import Customer, OrderStream, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.plugin import choose_port
from tests.runbooks.conftest import confirm_orders, start_writers, stop_writers
from tests.runbooks.postgres_copies import Postgres
from tests.running_shop import RunningShop

pytestmark = pytest.mark.long


def test_a_promoted_replica_serves_the_shop(shop: RunningShop) -> None:
    postgres = Postgres.of(shop)
    replica = postgres.back_up("replica", "-R", "-X", "stream")
    options = f"-p {choose_port(8100)} -c max_connections=200 -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    start = ("pg_ctl", "start", "-w", "-D", replica, "-l", replica / "log", "-o", options)
    stop = ("pg_ctl", "stop", "-m", "fast", "-w", "-D", replica)
    postgres.run(*start)
    kept = confirm_orders(shop, 3)
    postgres.run(*stop)  # the replica lags from here on
    lost = confirm_orders(shop, 3)

    customer = Customer(shop.base_url)
    with OrderStream(customer, make_order((find_sku(shop), 1))) as orders:
        assert wait_until(lambda: len(orders.told) >= 10, seconds=60)
        shop.part_stop("postgres")
        stop_writers(shop)
        postgres.run(*start)
        postgres.run("pg_ctl", "promote", "-w", "-D", replica)
        postgres.run(*stop)
        postgres.replace_data(replica)
        shop.part_start("postgres")
        done = shop.manage("relay_after_restore", "--reason", "failover to the replica")
        assert done.returncode == 0, done.stderr
        start_writers(shop)
        before = len(orders.told)
        assert wait_until(lambda: len(orders.told) >= before + 10, seconds=60)

    assert {customer.read(order)["status"] for order in kept} == {"confirmed"}
    assert {customer.read(order).get("status") for order in lost} == {404}
    for order in lost:
        assert order.body["id"] in done.stdout
    confirm_orders(shop, 5)
    assert_adds_up(shop)
