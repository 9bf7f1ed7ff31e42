"""Every breakage by hand is named."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from analytics.verification import find_sales_differences

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def some_sales(shop: Any) -> None:
    shop.place(NOON, [2], 200)
    shop.place(NOON, [1], 100)
    shop.confirm(NOON, 2, 200)


def test_counters_that_fit_their_sales_have_no_differences() -> None:
    assert list(find_sales_differences()) == []


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (
            "delete from analytics_sale where kind = 'confirmed'",
            "sales confirmed at 2026-05-04 12:00 in EUR: counted 1 orders, 2 units, revenue 200, "
            "but the sales add up to 0 orders, 0 units, revenue 0",
        ),
        (
            "delete from analytics_salesminute where kind = 'confirmed'",
            "sales confirmed at 2026-05-04 12:00 in EUR: counted 0 orders, 0 units, revenue 0, "
            "but the sales add up to 1 orders, 2 units, revenue 200",
        ),
        (
            "update analytics_salesminute set orders = 3 where kind = 'placed'",
            "sales placed at 2026-05-04 12:00 in EUR: counted 3 orders, 3 units, revenue 300, "
            "but the sales add up to 2 orders, 3 units, revenue 300",
        ),
        (
            "update analytics_salesminute set units = 4 where kind = 'placed'",
            "sales placed at 2026-05-04 12:00 in EUR: counted 2 orders, 4 units, revenue 300, "
            "but the sales add up to 2 orders, 3 units, revenue 300",
        ),
        (
            "update analytics_sale set revenue = 201 where revenue = 200 and kind = 'placed'",
            "sales placed at 2026-05-04 12:00 in EUR: counted 2 orders, 3 units, revenue 300, "
            "but the sales add up to 2 orders, 3 units, revenue 301",
        ),
    ],
)
def test_a_breakage_by_hand_is_named(breakage: str, sentence: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(breakage)
        assert cursor.rowcount == 1
    assert list(find_sales_differences()) == [sentence]


def test_a_sale_moved_to_another_minute_is_named_at_both() -> None:
    with connection.cursor() as cursor:
        cursor.execute("update analytics_sale set minute = '2026-05-04 12:01Z' where kind = 'confirmed'")
    differences = list(find_sales_differences())
    assert len(differences) == 2
    assert "12:00" in differences[0]
    assert "12:01" in differences[1]
