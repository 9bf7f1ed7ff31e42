"""Orders in the running shop, with HTTP, PostgreSQL, a relay, Kafka, five consumers and Celery."""

import json
from uuid import uuid4

from tests.client import Customer, call, make_order
from tests.running_shop import RunningShop


def find_sku(shop: RunningShop, *, sold_out: bool = False) -> str:
    """Return a SKU that is in stock (or sold out) according to the shop's stock page."""
    for product in call("GET", f"{shop.base_url}/api/v1/products/?page_size=100").body["results"]:
        stock = call("GET", f"{shop.base_url}/stock/?sku={product['sku']}").body
        if ("stock--out" if sold_out else "stock--ok") in stock:
            return str(product["sku"])
    raise AssertionError("the catalogue has no such product")


def assert_adds_up(shop: RunningShop) -> None:
    """Assert that `verify` finds no difference after the shop has drained."""
    result = shop.manage("verify", "--wait", "60", "--json")
    assert result.stdout, result.stderr
    report = json.loads(result.stdout)
    assert report["differences"] == []
    assert report["in_flight"] == {}
    assert result.returncode == 0


def test_an_order_ends_confirmed_and_captured(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 2), phone="+49 30 1234567"))
    assert placed.status == 201
    assert placed.body["status"] == "placed"
    assert placed.headers["location"].endswith(f"/api/v1/orders/{placed.body['id']}/")
    order = customer.wait_for(placed, "confirmed")
    assert order["total"] == sum(line["line_total"] for line in order["lines"]) + placed.body["shipping"]
    assert_adds_up(running_shop)


def test_a_declined_payment_cancels_the_order_and_releases_the_stock(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1), token="tok_declined"))
    assert customer.wait_for(placed, "cancelled")["reason"] == "payment_declined"
    assert_adds_up(running_shop)


def test_a_sold_out_product_cancels_the_order_and_releases_the_money(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop, sold_out=True), 1)))
    assert placed.status == 201
    assert customer.wait_for(placed, "cancelled")["reason"] == "out_of_stock"
    assert_adds_up(running_shop)


def test_an_unknown_payment_token_is_declined_by_the_gateway(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1), token="tok_of_nobody"))
    assert customer.wait_for(placed, "cancelled")["reason"] == "payment_declined"


def test_a_slow_gateway_does_not_slow_the_customer(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1), token="tok_slow"))
    assert placed.seconds < 2
    assert customer.read(placed)["status"] == "placed"
    customer.wait_for(placed, "confirmed")


def test_the_same_key_gets_the_same_answer_after_later_changes(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    key, body = str(uuid4()), make_order((find_sku(running_shop), 1))
    placed = customer.place(body, key)
    customer.wait_for(placed, "confirmed")
    again = customer.place(body, key)
    assert (again.status, again.body) == (201, placed.body)
    assert customer.place({**body, "email": "other@example.com"}, key).status == 422
