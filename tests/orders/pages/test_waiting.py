"""The order page and the API say which part is late, and that the order is safe."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from orders.lifecycle.saga import Happening
from orders.models import Order
from shop.delays import waiting
from shop.delays.models import Delay
from shop.delays.waiting import tell_time
from shop.web.order_access import sign_order
from tests.orders.pages.test_order import find_poll, let_happen, order, read_page  # noqa: F401

pytestmark = pytest.mark.django_db
SAFE = "Your order is safe: we have stored it, and you need not do anything."


@pytest.fixture(autouse=True)
def never_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(waiting._Cache, "delays", {})  # later tests must not see these delays


def delay(consumer: str, behind: float, *, drain: float | None = None, is_away: bool = False, age: float = 0) -> None:
    at = datetime.now(UTC) - timedelta(seconds=age)
    fields = {"at": at, "behind_seconds": behind, "drain_seconds": drain, "is_away": is_away}
    Delay.objects.update_or_create(consumer=consumer, defaults=fields)


def test_the_message_appears_names_the_part_and_vanishes_by_the_poll(
    cart: Client,
    order: Order,  # noqa: F811
) -> None:
    html = read_page(cart, order)
    assert SAFE not in html
    poll = find_poll(html)
    assert poll
    delay("inventory", 180, drain=48)
    shown = cart.get(poll[0]).content.decode()
    assert (
        f"The stock check is about 3 minutes behind. We expect to reach your order in about a minute. {SAFE}" in shown
    )
    poll = find_poll(shown)
    assert poll
    assert cart.get(poll[0]).status_code == 204, "the same message is not sent twice"
    delay("inventory", 180, drain=48, is_away=True)
    assert f"The stock check is about 3 minutes behind. {SAFE}" in cart.get(poll[0]).content.decode()
    delay("inventory", 0.2)
    assert SAFE not in cart.get(poll[0]).content.decode()
    delay("payments", 31)
    assert "The payment request is about half a minute behind." in read_page(cart, order)
    let_happen(order, Happening.PAYMENT_AUTHORIZED)
    assert SAFE not in read_page(cart, order), "an answered question does not wait"
    delay("orders", 7200)
    assert "The stock check is about 2 hours behind." in read_page(cart, order)
    let_happen(order, Happening.STOCK_RESERVED)
    assert SAFE not in read_page(cart, order), "a confirmed order does not wait"


def test_an_unknown_delay_is_said_honestly(cart: Client, order: Order) -> None:  # noqa: F811
    delay("inventory", 180, age=60)  # the sampler does not run
    assert SAFE not in read_page(cart, order)
    Order.objects.update(placed_at=datetime.now(UTC) - timedelta(minutes=2))
    assert f"takes longer than usual, perhaps some minutes. {SAFE}" in read_page(cart, order)


def test_the_api_reports_why_an_order_waits(order: Order) -> None:  # noqa: F811
    def read() -> Any:
        answer = Client().get(f"/api/v1/orders/{order.pk}/", headers={"X-Order-Token": sign_order(order.pk)})
        return answer.json()["waiting"]

    assert read() is None
    delay("payments", 31, drain=4.2)
    found = read()
    assert (found["part"], found["expected_seconds"], SAFE in found["text"]) == ("payments", 5, True)
    assert 31 <= found["behind_seconds"] <= 35


def test_a_process_reads_the_delays_at_most_once_per_second(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(waiting, "CACHE_SECONDS", 3600.0)
    monkeypatch.setattr(waiting._Cache, "read_at", time.monotonic() - 3601)
    with django_assert_num_queries(3):  # a savepoint protects the caller's transaction
        for _page in range(5):
            waiting.read_delays()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "a few seconds"), (40, "about half a minute"), (80, "about a minute"), (200, "about 3 minutes")],
)
def test_times_are_rounded(seconds: float, words: str) -> None:
    assert tell_time(seconds) == words
