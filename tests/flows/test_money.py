"""The refund of an order that is cancelled after its capture. For gateway faults see test_gateway_campaign.py."""

import psycopg

from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop


def read_status(shop: RunningShop, placed: Answer) -> str:
    """Return the status of an order's payment."""
    with psycopg.connect(shop.addresses["postgres"]) as connection:
        select = "select status from payments_payment where order_id = %s"
        row = connection.execute(select, [placed.body["id"]]).fetchone()
    assert row, "the order has no payment"
    return str(row[0])


def test_an_order_cancelled_after_its_capture_gets_its_money_back(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1)))
    customer.wait_for(placed, "confirmed")
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "captured"
    url = f"{running_shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
    cancelled = call("POST", url, {}, {"X-Order-Token": placed.body["access_token"]})
    assert cancelled.status == 200, cancelled.body
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "refunded"
