"""After races between two changes of an order, money and stock are correct."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from inventory.models import Stock
from inventory.services import receive_stock
from orders.models import Order
from relay.testing import deliver
from tests.client import make_order
from tests.simulation.model import OPENING, SKUS
from tests.simulation.races import (
    CONSUMERS,
    count_ends,
    find_wrong,
    race_cancel_against_capture,
    race_deadline_against_confirm,
    race_for_stock,
)

SEED = int(os.environ["SEED"])
RACES = [40, pytest.param(1000, marks=pytest.mark.long)]
#: Orders of each of the sixteen threads.
ORDERS = [4, pytest.param(100, marks=pytest.mark.long)]
PIECES = 10_000
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("products", "plenty"),
]


@pytest.fixture
def plenty(products: None) -> None:
    """Receive enough stock for all orders."""
    for sku in SKUS:
        receive_stock(sku, PIECES, "for the races")


@pytest.mark.parametrize("races", RACES)
def test_a_cancellation_during_a_capture_returns_the_money(races: int) -> None:
    race_cancel_against_capture(races, SEED)
    ends = count_ends()
    print(ends)
    assert find_wrong() == []
    voided = ("cancelled", "voided", ("authorize", "void"))
    refunded = ("cancelled", "refunded", ("authorize", "capture", "refund"))
    assert set(ends) <= {voided, refunded}
    assert len(ends) == 2 or races < 1000, "one side won every race, so the two changes never overlapped"
    assert sum(ends.values()) == races
    assert Stock.objects.get(sku="CUP").available == OPENING + PIECES


@pytest.mark.parametrize("races", RACES)
def test_a_deadline_during_the_last_answer_confirms_or_cancels(races: int) -> None:
    race_deadline_against_confirm(races, SEED)
    ends = count_ends()
    print(ends)
    assert find_wrong() == []
    sold, over = ("confirmed", "captured", ("authorize", "capture")), ("cancelled", "voided", ("authorize", "void"))
    assert set(ends) <= {sold, over}
    assert len(ends) == 2 or races < 1000, "one side won every race, so the two changes never overlapped"
    stock = Stock.objects.get(sku="CUP")
    assert (stock.on_hand, stock.reserved) == (OPENING + PIECES - ends[sold], 0)


@pytest.mark.parametrize("orders", ORDERS)
def test_sixteen_consumers_hold_the_same_products_without_an_error(orders: int) -> None:
    race_for_stock(orders, SEED)
    assert find_wrong() == []
    assert {stock.reserved for stock in Stock.objects.all()} == {orders * 16}


@pytest.mark.parametrize("orders", ORDERS)
def test_sixteen_customers_order_the_same_products_without_an_error(settings: Settings, orders: int) -> None:
    settings.RATE_LIMITS_ON = False

    def buy(number: int) -> Counter[int]:
        client, lines = Client(), [(sku, 1) for sku in (SKUS if number % 2 else SKUS[::-1])]
        try:
            statuses = Counter[int]()
            for _ in range(orders):
                headers = {"Idempotency-Key": str(uuid4())}
                address = "/api/v1/orders/"
                answer = client.post(address, make_order(*lines), content_type="application/json", headers=headers)
                statuses[answer.status_code] += 1
            return statuses
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        statuses = sum(pool.map(buy, range(16)), Counter[int]())
    assert statuses == {201: orders * 16}
    deliver(CONSUMERS["inventory"])
    assert find_wrong() == []
    assert set(Order.objects.values_list("status", flat=True)) == {"placed"}
