"""The verification of counters names each difference that was created by hand."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from analytics.verification import find_sales_differences
from tests.analytics.conftest import Shop

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def some_sales(shop: Shop) -> None:
    shop.place(NOON, [2], 200)
    shop.place(NOON, [1], 100)
    shop.confirm(NOON, 2, 200)


def test_counters_that_match_their_sales_have_no_differences() -> None:
    assert list(find_sales_differences()) == []


@pytest.mark.parametrize(
    ("breakage", "kind", "counted", "sold"),
    [
        ("delete from analytics_sale where kind = 'confirmed'", "confirmed", (1, 2, 200), (0, 0, 0)),
        ("delete from analytics_salesminute where kind = 'confirmed'", "confirmed", (0, 0, 0), (1, 2, 200)),
        ("update analytics_salesminute set orders = 3 where kind = 'placed'", "placed", (3, 3, 300), (2, 3, 300)),
        ("update analytics_salesminute set units = 4 where kind = 'placed'", "placed", (2, 4, 300), (2, 3, 300)),
        ("update analytics_sale set revenue = 9 where revenue = 100", "placed", (2, 3, 300), (2, 3, 209)),
    ],
)
def test_a_changed_counter_or_sale_is_named(
    breakage: str, kind: str, counted: tuple[int, int, int], sold: tuple[int, int, int]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(breakage)
        assert cursor.rowcount == 1
    (difference,) = find_sales_differences()
    assert difference == (
        f"sales {kind} at 2026-05-04 12:00 in EUR: counted {counted[0]} orders, {counted[1]} units, "
        f"revenue {counted[2]}, but the sales add up to {sold[0]} orders, {sold[1]} units, revenue {sold[2]}"
    )


def test_a_sale_moved_to_another_minute_is_named_at_both_minutes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("update analytics_sale set minute = '2026-05-04 12:01Z' where kind = 'confirmed'")
    differences = list(find_sales_differences())
    assert len(differences) == 2
    assert "12:00" in differences[0]
    assert "12:01" in differences[1]
