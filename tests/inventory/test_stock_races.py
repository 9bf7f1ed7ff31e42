"""Many consumers at once: no piece is sold twice, and orders of the same SKUs wait instead of deadlocking."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection

from inventory.backorders import tend_backorders
from inventory.models import Backorder, Stock
from inventory.services import receive_opening_stock
from inventory.verification import find_stock_differences
from shop.events import StockReserved
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db(transaction=True)
Numbers = Callable[[str], tuple[int, int]]
THREADS = 16


def run_in_threads(work: Callable[[int], None]) -> None:
    """Run `work(n)` in 16 threads at once, each with its own connection. Raise the first error of a thread."""

    def run_alone(n: int) -> None:
        try:
            work(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run_alone, n) for n in range(THREADS)]:
            future.result()


def test_sixteen_threads_hold_exactly_the_hundred_available_pieces(orders: Orders, numbers: Numbers) -> None:
    receive_opening_stock({"LAST": 100})
    placed: list[UUID] = []

    def buy(n: int) -> None:
        for _ in range(10):
            placed.append(orders.place(("LAST", 1)))

    run_in_threads(buy)

    assert numbers("LAST") == (100, 100)
    held = [order_id for order_id in placed if orders.answers(order_id)]
    assert len(held) == 100
    assert Stock.objects.get(sku="LAST").waiting == 60
    for order_id in held:
        orders.confirm(order_id)
    answers = Counter(type(answer).__name__ for order_id in placed for answer in orders.answers(order_id))
    assert answers == {"StockReserved": 100, "StockRejected": 60}
    assert numbers("LAST") == (0, 0)
    assert list(find_stock_differences()) == []


def is_reserved(orders: Orders, order_id: UUID) -> bool:
    """Return whether inventory has reserved the order's pieces."""
    return any(isinstance(answer, StockReserved) for answer in orders.answers(order_id))


def test_concurrent_orders_of_the_same_skus_never_deadlock(orders: Orders, numbers: Numbers) -> None:
    skus = [f"X{n}" for n in range(6)]
    receive_opening_stock(dict.fromkeys(skus, 40))

    placed: list[UUID] = []

    def buy(n: int) -> None:
        dice = random.Random(n)
        for turn in range(10):
            order_id = orders.place(*[(sku, dice.randint(1, 2)) for sku in dice.sample(skus, 4)])
            placed.append(order_id)
            if turn % 3 == 0 and is_reserved(orders, order_id):
                orders.confirm(order_id)
            elif turn % 3 == 1:
                orders.cancel(order_id)
            if n == 0:
                tend_backorders()

    run_in_threads(buy)

    assert list(find_stock_differences()) == []
    for order_id in placed:  # the end of all other holds
        orders.cancel(order_id)
    tend_backorders()
    assert not Backorder.objects.exists()
    assert {len(orders.answers(order_id)) for order_id in placed} == {1}
    assert list(find_stock_differences()) == []
    for sku in skus:
        on_hand, reserved = numbers(sku)
        assert 0 <= reserved <= on_hand <= 40


def test_concurrent_batches_of_the_same_skus_never_deadlock(orders: Orders) -> None:
    """Batches that list the SKUs in opposite orders wait for each other, but do not deadlock."""
    skus = [f"X{n}" for n in range(20)]
    receive_opening_stock(dict.fromkeys(skus, 100_000))

    def buy(n: int) -> None:
        mine = skus if n % 2 else skus[::-1]
        for _ in range(5):
            orders.place_together(*([(mine[turn % 20], 1), (mine[(turn + 7) % 20], 1)] for turn in range(40)))

    run_in_threads(buy)

    assert list(find_stock_differences()) == []
    assert sum(numbers.reserved for numbers in Stock.objects.all()) == THREADS * 5 * 40 * 2
