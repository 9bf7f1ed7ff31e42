"""docs/runbooks/restore.md: a base backup and the write-ahead log restore the database to a time before its loss."""

import psycopg
import pytest

from tests.client import Customer
from tests.flows.test_life_of_an_order import assert_adds_up
from tests.runbooks.conftest import confirm_orders, start_writers, stop_writers
from tests.runbooks.postgres_copies import Postgres, read_value, wait_for_archive
from tests.running_shop import RunningShop

pytestmark = pytest.mark.long


def test_a_shop_goes_on_after_a_restore_to_an_earlier_time(shop: RunningShop) -> None:
    postgres = Postgres.of(shop)
    archive = postgres.archive_wal()
    shop.part_stop("postgres")
    shop.part_start("postgres")
    confirm_orders(shop, 3)
    backup = postgres.back_up("backup")
    kept = confirm_orders(shop, 3)
    with psycopg.connect(postgres.address) as db:
        target = read_value(db, "select clock_timestamp()::text")
    lost = confirm_orders(shop, 3)
    wait_for_archive(postgres.address)

    stop_writers(shop)
    shop.part_stop("postgres")
    with (backup / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'cp {archive}/%f %p'\n")
        file.write(f"recovery_target_time = '{target}'\nrecovery_target_action = 'promote'\n")
    (backup / "recovery.signal").touch()
    postgres.replace_data(backup)
    shop.part_start("postgres")
    found = shop.manage("relay_after_restore", "--dry-run")
    assert found.returncode == 0, found.stderr
    for order in lost:
        assert order.body["id"] in found.stdout
    done = shop.manage("relay_after_restore", "--reason", "restored to an earlier time")
    assert done.returncode == 0, done.stderr
    start_writers(shop)

    customer = Customer(shop.base_url)
    assert {customer.read(order)["status"] for order in kept} == {"confirmed"}
    assert {customer.read(order).get("status") for order in lost} == {404}
    confirm_orders(shop, 5)
    assert_adds_up(shop)
