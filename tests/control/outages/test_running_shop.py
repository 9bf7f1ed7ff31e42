"""A short outage in the running shop: it is stored with its drain, and the order of a customer says why it waits."""

import psycopg

from shop.embedded.processes import wait_until
from tests.client import Customer, make_order
from tests.control.samples import read_now, wait_for_sample
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

#: Orders, and the number of their events that surely wait: the consumer notices its pause within a second.
PLACED, MANY = 40, 10


def test_a_pause_is_an_outage_that_ends_drained_with_every_order_answered(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    sku = find_sku(running_shop)
    assert wait_for_sample(running_shop, lambda: read_now(running_shop)["outages"] == {}, seconds=60)
    paused = running_shop.manage("relay_pause", "inventory", "--reason", "a test of outages")
    assert paused.returncode == 0, paused.stderr
    try:
        placed = [customer.place(make_order((sku, 1))) for _ in range(PLACED)]

        def is_counted() -> bool:
            now = read_now(running_shop)
            consumer = now["consumers"]["inventory"]
            return "inventory" in now["outages"] and consumer["lag"] >= MANY and consumer["behind_seconds"] >= 16

        assert wait_for_sample(running_shop, is_counted, seconds=90)
        placed.append(customer.place(make_order((sku, 1))))
        order = customer.read(placed[-1])
        assert order["waiting"]["part"] == "inventory"
        assert "Your order is safe" in order["waiting"]["text"]
        with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as db:
            periods = "select count(*) from control_sample where figures is not null and period % 5 <> 0"
            quick = db.execute(periods).fetchone()
            assert quick
            assert quick[0], "samples follow each other every second"
    finally:
        running_shop.manage("relay_resume", "inventory")
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as db:
        drained = (
            "select most_waiting, work, drained_at >= returned_at, returned_at >= began_at from control_outage"
            " where consumer = 'inventory' and drained_at is not null order by began_at desc limit 1"
        )
        assert wait_until(lambda: db.execute(drained).fetchone() is not None, seconds=60)
        row = db.execute(drained).fetchone()
    assert row
    most, work, *in_order = row
    assert most >= MANY
    assert work >= MANY, "the consumer applied what had waited"
    assert in_order == [True, True]

    def are_answered() -> bool:  # some are cancelled if the product sells out
        return all(customer.read(answer)["status"] != "placed" for answer in placed)

    assert wait_until(are_answered, seconds=90)
    assert customer.read(placed[-1])["waiting"] is None
