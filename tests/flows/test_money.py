"""Money in the running shop: a gateway that lies, fails, answers twice and dies, and an order cancelled late."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.client import Answer, Customer, call, make_order
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop

TELLING = ["tok_webhook", "tok_webhook_doubled", "tok_webhook_disordered"]
DISTURBED = ["tok_twice", "tok_error", "tok_wrong_amount", *TELLING]


@pytest.fixture
def payment_of(running_shop: RunningShop) -> Callable[[Answer], Any]:
    """A function that reads the status of an order's payment, its calls of the gateway, and the hints that came."""

    def read(placed: Answer) -> Any:
        with psycopg.connect(running_shop.addresses["postgres"]) as connection:
            return connection.execute(
                "select status, (select max(calls) from payments_attempt where payment_id = p.id),"
                " (select count(*) from payments_hint where id like '%%' || p.id || '%%')"
                " from payments_payment p where order_id = %s",
                [placed.body["id"]],
            ).fetchone()

    return read


def test_a_disturbed_gateway_delays_orders_and_loses_none(
    running_shop: RunningShop, payment_of: Callable[[Answer], Any]
) -> None:
    customer, sku = Customer(running_shop.base_url), find_sku(running_shop)
    placed = {token: customer.place(make_order((sku, 1), token=token)) for token in DISTURBED}
    running_shop.part_kill("gateway")
    for order in placed.values():
        customer.wait_for(order, "confirmed")
    assert_adds_up(running_shop)
    found = {token: payment_of(order) for token, order in placed.items()}
    assert {token: status for token, (status, _, _) in found.items()} == dict.fromkeys(DISTURBED, "captured")
    assert all(calls > 1 for token, (_, calls, _) in found.items() if token != "tok_twice")
    # A hint may die with the gateway; the second of a doubled one is never counted.
    assert sum(hints for _, _, hints in found.values()) > 0
    assert found["tok_webhook_doubled"][2] <= 2


def test_an_order_cancelled_after_its_capture_gets_its_money_back(
    running_shop: RunningShop, payment_of: Callable[[Answer], Any]
) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1)))
    customer.wait_for(placed, "confirmed")
    assert_adds_up(running_shop)
    assert payment_of(placed)[0] == "captured"
    url = f"{running_shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
    cancelled = call("POST", url, {}, {"X-Order-Token": placed.body["access_token"]})
    assert cancelled.status == 200, cancelled.body
    assert_adds_up(running_shop)
    assert payment_of(placed)[0] == "refunded"
