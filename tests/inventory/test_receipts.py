"""Receipts add stock. Each receipt has a movement."""

from collections.abc import Callable

import pytest

from inventory.models import Movement, Stock
from inventory.services import LARGEST_RECEIPT, UnableToReceiveStock, receive_opening_stock, receive_stock
from inventory.verification import find_stock_differences

pytestmark = pytest.mark.django_db
Numbers = Callable[[str], tuple[int, int]]


def test_opening_stock_creates_rows_only_for_skus_without_one(numbers: Numbers) -> None:
    assert receive_opening_stock({"CUP": 10, "POT": 0}) == 2
    assert receive_opening_stock({"CUP": 99, "PAN": 5}) == 1

    assert [numbers("CUP"), numbers("PAN"), numbers("POT")] == [(10, 0), (5, 0), (0, 0)]
    assert list(Movement.objects.order_by("id").values_list("sku", "on_hand_delta")) == [("CUP", 10), ("PAN", 5)]
    assert list(find_stock_differences()) == []


def test_opening_stock_without_levels_creates_nothing() -> None:
    assert receive_opening_stock({}) == 0


@pytest.mark.parametrize("level", [-1, LARGEST_RECEIPT + 1])
def test_an_impossible_level_creates_no_row_at_all(level: int) -> None:
    with pytest.raises(UnableToReceiveStock, match="POT"):
        receive_opening_stock({"CUP": 1, "POT": level})
    assert not Stock.objects.exists()


def test_a_receipt_adds_to_the_stock_and_records_the_reason(numbers: Numbers) -> None:
    receive_opening_stock({"CUP": 10})
    receive_stock("CUP", 5, "delivery 4711")
    receive_stock("NEW", 1, "a sample")

    assert [numbers("CUP"), numbers("NEW")] == [(15, 0), (1, 0)]
    assert Movement.objects.get(sku="CUP", on_hand_delta=5).reason == "delivery 4711"
    assert Movement.objects.values("event_id").distinct().count() == 3
    assert list(find_stock_differences()) == []


@pytest.mark.parametrize("quantity", [0, -3, LARGEST_RECEIPT + 1])
def test_a_receipt_of_an_impossible_quantity_is_refused(quantity: int) -> None:
    with pytest.raises(UnableToReceiveStock):
        receive_stock("CUP", quantity, "")
    assert not Stock.objects.exists()
