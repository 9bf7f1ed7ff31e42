"""StockLow and StockBack are said once, in the transaction of the change that crosses the line."""

from collections.abc import Callable

import pytest

from inventory.levels import Change, find_news
from inventory.models import Movement, Stock
from inventory.services import LARGEST_RECEIPT, UnableToAdjustStock, adjust_stock, receive_opening_stock, receive_stock
from inventory.verification import find_stock_differences
from relay.testing import published
from shop.events import StockBack, StockEvent, StockLow
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db
Numbers = Callable[[str], tuple[int, int]]


@pytest.fixture(autouse=True)
def opening_stock(db: None) -> None:
    receive_opening_stock({"CUP": 10, "POT": 2})


def list_news() -> list[tuple[str, str, int]]:
    """What was said about stock: (event, sku, available)."""
    return [(type(event).__name__, event.sku, event.available) for event in published(StockEvent)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (6, 5, StockLow),
        (6, 0, StockLow),
        (9, 6, None),
        (5, 4, None),
        (5, 0, None),
        (0, 1, StockBack),
        (0, 100, StockBack),
        (1, 100, None),
        (6, 6, None),
    ],
)
def test_only_what_crosses_the_line_is_said(before: int, after: int, said: type[StockEvent] | None) -> None:
    news = find_news([Change("CUP", before, after, low_at=5)])
    assert [type(event) for event in news] == ([said] if said else [])


def test_the_order_that_leaves_too_few_is_told_once(orders: Orders) -> None:
    for _ in range(4):
        orders.place(("CUP", 2))
    assert list_news() == [("StockLow", "CUP", 4)]
    (low,) = published(StockLow)
    assert (low.key, low.low_at) == ("CUP", 5)


def test_what_is_sold_leaves_as_many_to_be_had(orders: Orders) -> None:
    orders.confirm(orders.place(("CUP", 5)))
    assert list_news() == [("StockLow", "CUP", 5)]


@pytest.mark.parametrize("confirm", [False, True])
def test_a_cancelled_order_brings_back_what_was_sold_out(orders: Orders, confirm: bool) -> None:
    order_id = orders.place(("POT", 2), ("CUP", 1))
    if confirm:
        orders.confirm(order_id)
    orders.cancel(order_id)
    assert list_news() == [("StockBack", "POT", 2)]


def test_a_receipt_brings_back_and_a_correction_makes_low(orders: Orders) -> None:
    orders.place(("POT", 2))
    receive_stock("POT", 30, "delivery 4711", "admin:ada")
    adjust_stock("POT", -26, "broken", "admin:ada")
    assert list_news() == [("StockBack", "POT", 30), ("StockLow", "POT", 4)]


def test_the_limit_is_the_products_own(orders: Orders) -> None:
    Stock.objects.filter(sku="CUP").update(low_at=9)
    orders.place(("CUP", 1))
    assert list_news() == [("StockLow", "CUP", 9)]


def test_what_was_rejected_says_nothing(orders: Orders) -> None:
    orders.place(("CUP", 11))
    assert list_news() == []


def test_a_correction_stands_in_the_ledger_with_who_and_why(numbers: Numbers) -> None:
    adjust_stock("CUP", -3, "broken", "admin:ada")
    assert numbers("CUP") == (7, 0)
    movement = Movement.objects.get(kind="adjusted")
    assert (movement.on_hand_delta, movement.reason, movement.by) == (-3, "broken", "admin:ada")
    assert list(find_stock_differences()) == []


@pytest.mark.parametrize(
    ("sku", "difference", "why"),
    [
        ("CUP", -8, "10 on hand, of which 3 are held"),
        ("GHOST", 1, "not in stock"),
        ("CUP", 0, "is 0"),
        ("CUP", LARGEST_RECEIPT + 1, "1000001"),
    ],
)
def test_a_correction_that_can_not_be_is_told_with_the_numbers(
    orders: Orders, numbers: Numbers, sku: str, difference: int, why: str
) -> None:
    orders.place(("CUP", 3))
    with pytest.raises(UnableToAdjustStock, match=why):
        adjust_stock(sku, difference, "counted")
    assert numbers("CUP") == (10, 3)
    assert not Movement.objects.filter(kind="adjusted").exists()
