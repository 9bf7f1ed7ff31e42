"""Refunds, failed captures, and money that moves at the gateway without the shop, in the running shop.

For gateway faults see test_gateway_campaign.py.
"""

import json
from typing import Any
from uuid import uuid4

import psycopg

from payments.sandbox.scripts import CAPTURE_DECLINED
from tests.client import Answer, Customer, call, make_order
from tests.faults.brokers import wait_until
from tests.flows.test_life_of_an_order import assert_adds_up, find_sku
from tests.running_shop import RunningShop


def read_status(shop: RunningShop, placed: Answer) -> str:
    """Return the status of an order's payment."""
    with psycopg.connect(shop.addresses["postgres"]) as connection:
        select = "select status from payments_payment where order_id = %s"
        row = connection.execute(select, [placed.body["id"]]).fetchone()
    assert row, "the order has no payment"
    return str(row[0])


def cancel(shop: RunningShop, placed: Answer) -> None:
    url = f"{shop.base_url}/api/v1/orders/{placed.body['id']}/cancel/"
    cancelled = call("POST", url, {}, {"X-Order-Token": placed.body["access_token"]})
    assert cancelled.status == 200, cancelled.body


def pay(shop: RunningShop) -> tuple[Answer, str]:
    """Place an order, wait for its capture, and return it with the gateway's reference of its payment."""
    customer = Customer(shop.base_url)
    placed = customer.place(make_order((find_sku(shop), 1)))
    customer.wait_for(placed, "confirmed")
    assert_adds_up(shop)
    with psycopg.connect(shop.addresses["postgres"]) as connection:
        select = "select gateway_reference from payments_payment where order_id = %s and status = 'captured'"
        row = connection.execute(select, [placed.body["id"]]).fetchone()
    assert row, "the order was not captured"
    return placed, str(row[0])


def act_at_gateway(shop: RunningShop, operation: str, reference: str, amount: int) -> str:
    """Let a person or a bank act at the gateway without the shop, and return the id of the new entry there."""
    entry = f"by-hand-{uuid4()}"
    body = json.dumps({"reference": reference, "amount": amount})
    code = f"from payments.gateways.sandbox import ask; print(ask('POST', '/v1/{operation}', '{entry}', b'{body}')[0])"
    assert "200" in shop.manage("shell", "-v", "0", "-c", code).stdout
    return entry


def find_cases(shop: RunningShop, placed: Answer) -> list[tuple[str, str]]:
    """Reconcile, close the order's open cases like staff, and return their kinds and descriptions."""
    shop.manage("reconcile_payments", "--days", "1")
    with psycopg.connect(shop.addresses["postgres"]) as connection:
        statement = """
            update payments_case c set closed_at = now(), closed_by = 'test' from payments_payment p
            where p.id = c.payment_id and p.order_id = %s and c.closed_at is null returning c.kind, c.description
        """
        return connection.execute(statement, [placed.body["id"]]).fetchall()


def test_a_refund_at_the_gateway_is_recorded_and_a_case(running_shop: RunningShop) -> None:
    placed, reference = pay(running_shop)
    entry = act_at_gateway(running_shop, "refund", reference, placed.body["total"])
    [(kind, description)] = find_cases(running_shop, placed)
    assert (kind, entry in description) == ("external_refund", True)
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "refunded"
    with psycopg.connect(running_shop.addresses["postgres"]) as connection:
        row: Any = connection.execute("select payment from orders_order where id = %s", [placed.body["id"]]).fetchone()
    assert row == ("refunded",), "the saga must not ship the order"


def test_a_dispute_at_the_gateway_is_a_case(running_shop: RunningShop) -> None:
    placed, reference = pay(running_shop)
    entry = act_at_gateway(running_shop, "dispute", reference, 100)
    [(kind, description)] = find_cases(running_shop, placed)
    assert (kind, entry in description) == ("disputed", True)
    assert_adds_up(running_shop)


def test_an_order_whose_capture_is_declined_waits_for_staff_and_can_be_cancelled(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1), token=CAPTURE_DECLINED))
    customer.wait_for(placed, "confirmed")
    wait_until(lambda: read_status(running_shop, placed) == "failed", "the capture fails", seconds=120)
    assert_adds_up(running_shop)
    assert [kind for kind, _ in find_cases(running_shop, placed)] == ["capture_failed"]
    cancel(running_shop, placed)
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "voided"


def test_an_order_cancelled_after_its_capture_gets_its_money_back(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1)))
    customer.wait_for(placed, "confirmed")
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "captured"
    cancel(running_shop, placed)
    assert_adds_up(running_shop)
    assert read_status(running_shop, placed) == "refunded"
