"""StockLow and StockBack are published in the transaction of the change that crosses the threshold or reaches 0."""

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
    """Return (class, sku, available) of each published stock event."""
    return [(type(event).__name__, event.sku, event.available) for event in published(StockEvent)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (6, 5, StockLow),
        (6, 0, StockLow),
        (9, 6, None),
        (5, 4, None),
        (5, 0, StockLow),
        (0, 0, None),
        (0, 1, StockBack),
        (0, 100, StockBack),
        (1, 100, None),
        (6, 6, None),
    ],
)
def test_only_a_change_across_the_threshold_publishes(
    before: int, after: int, expected: type[StockEvent] | None
) -> None:
    news = find_news([Change("CUP", before, after, low_at=5)])
    assert [type(event) for event in news] == ([expected] if expected else [])


def test_only_the_order_that_crosses_the_threshold_publishes_stock_low(orders: Orders) -> None:
    for _ in range(4):
        orders.place(("CUP", 2))
    assert list_news() == [("StockLow", "CUP", 4)]
    (low,) = published(StockLow)
    assert (low.key, low.low_at) == ("CUP", 5)


def test_a_sale_of_held_pieces_does_not_change_what_is_available(orders: Orders) -> None:
    orders.confirm(orders.place(("CUP", 5)))
    assert list_news() == [("StockLow", "CUP", 5)]


@pytest.mark.parametrize("confirm", [False, True])
def test_a_cancelled_order_publishes_stock_back_for_a_sold_out_product(orders: Orders, confirm: bool) -> None:
    order_id = orders.place(("POT", 2), ("CUP", 1))
    if confirm:
        orders.confirm(order_id)
    orders.cancel(order_id)
    assert list_news() == [("StockLow", "POT", 0), ("StockBack", "POT", 2)]


def test_a_receipt_publishes_stock_back_and_a_correction_stock_low(orders: Orders) -> None:
    orders.place(("POT", 2))
    receive_stock("POT", 30, "delivery 4711", "admin:ada")
    adjust_stock("POT", -26, "broken", "admin:ada")
    assert list_news() == [("StockLow", "POT", 0), ("StockBack", "POT", 30), ("StockLow", "POT", 4)]


def test_each_product_has_its_own_threshold(orders: Orders) -> None:
    Stock.objects.filter(sku="CUP").update(low_at=9)
    orders.place(("CUP", 1))
    assert list_news() == [("StockLow", "CUP", 9)]


def test_a_rejected_order_publishes_no_stock_event(orders: Orders) -> None:
    orders.place(("CUP", 11))
    assert list_news() == []


def test_the_ledger_records_the_person_and_the_reason_of_a_correction(numbers: Numbers) -> None:
    adjust_stock("CUP", -3, "broken", "admin:ada")
    assert numbers("CUP") == (7, 0)
    movement = Movement.objects.get(kind="adjusted")
    assert (movement.on_hand_delta, movement.reason, movement.by) == (-3, "broken", "admin:ada")
    assert list(find_stock_differences()) == []


@pytest.mark.parametrize(
    ("sku", "difference", "why"),
    [
        ("CUP", -8, "10 on hand, 3 held for orders"),
        ("GHOST", 1, "the SKU has no stock row"),
        ("CUP", 0, "except 0"),
        ("CUP", LARGEST_RECEIPT + 1, "1000001"),
    ],
)
def test_an_impossible_correction_raises_an_error_with_the_numbers(
    orders: Orders, numbers: Numbers, sku: str, difference: int, why: str
) -> None:
    orders.place(("CUP", 3))
    with pytest.raises(UnableToAdjustStock, match=why):
        adjust_stock(sku, difference, "counted")
    assert numbers("CUP") == (10, 3)
    assert not Movement.objects.filter(kind="adjusted").exists()
