"""Counters of orders, units, revenue, views and cart changes per minute of event time."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from analytics.handlers import consumer, count_orders
from analytics.models import ActivityMinute, Sale, SalesMinute
from analytics.verification import find_sales_differences
from tests.analytics.conftest import Shop

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


def sales_by_minute() -> dict[tuple[datetime, str, str], tuple[int, int, int]]:
    """Return all counters: (minute, kind, currency) -> (orders, units, revenue)."""
    rows = SalesMinute.objects.values_list("minute", "kind", "currency", "orders", "units", "revenue")
    return {(minute, kind, currency): (n, units, revenue) for minute, kind, currency, n, units, revenue in rows}


@pytest.mark.django_db
def test_orders_of_one_minute_add_up(shop: Shop) -> None:
    shop.place(NOON, [2, 1], 500)
    shop.place(NOON + timedelta(seconds=59, microseconds=999_999), [4], 250)
    shop.place(LATER, [1], 100)

    assert sales_by_minute() == {
        (NOON, "placed", "EUR"): (2, 7, 750),
        (LATER, "placed", "EUR"): (1, 1, 100),
    }
    assert list(find_sales_differences()) == []


@pytest.mark.django_db
def test_placed_confirmed_and_cancelled_are_counted_separately(shop: Shop) -> None:
    shop.place(NOON, [3], 300)
    shop.confirm(NOON, 2, 200)
    shop.cancel(NOON, 1, 100)

    assert sales_by_minute() == {
        (NOON, "placed", "EUR"): (1, 3, 300),
        (NOON, "confirmed", "EUR"): (1, 2, 200),
        (NOON, "cancelled", "EUR"): (1, 1, 100),
    }


@pytest.mark.django_db
def test_currencies_are_never_mixed(shop: Shop) -> None:
    shop.confirm(NOON, 1, 1000, "EUR")
    shop.confirm(NOON, 1, 900, "NOK")
    shop.confirm(NOON, 1, 50, "NOK")

    assert sales_by_minute() == {
        (NOON, "confirmed", "EUR"): (1, 1, 1000),
        (NOON, "confirmed", "NOK"): (2, 2, 950),
    }


@pytest.mark.django_db
def test_a_late_event_counts_in_the_minute_in_which_it_happened(shop: Shop) -> None:
    with time_machine.travel(NOON + timedelta(hours=3), tick=False):
        shop.place(NOON + timedelta(seconds=30), [1], 100)
        shop.view(NOON + timedelta(seconds=30))

    assert list(sales_by_minute()) == [(NOON, "placed", "EUR")]
    assert ActivityMinute.objects.get().minute == NOON


@pytest.mark.django_db
def test_the_minute_is_the_same_in_every_time_zone(shop: Shop) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    shop.place(NOON, [1], 100)
    shop.place((NOON + timedelta(seconds=20)).astimezone(kathmandu), [1], 100)

    assert sales_by_minute() == {(NOON, "placed", "EUR"): (2, 2, 200)}


@pytest.mark.django_db
def test_views_and_cart_changes_are_counted_separately(shop: Shop) -> None:
    for moment in (NOON, NOON + timedelta(seconds=5), LATER):
        shop.view(moment)
    shop.change_cart(NOON)

    assert set(ActivityMinute.objects.values_list("minute", "kind", "count")) == {
        (NOON, "viewed", 2),
        (LATER, "viewed", 1),
        (NOON, "cart_changed", 1),
    }


@pytest.mark.django_db
def test_a_sale_has_the_id_of_its_event_and_is_stored_once(shop: Shop) -> None:
    event = shop.confirm(NOON, 2, 200)

    sale = Sale.objects.get()
    assert (sale.event_id, sale.order_id, sale.kind) == (event.event_id, event.order_id, "confirmed")
    with pytest.raises(IntegrityError), transaction.atomic():
        count_orders([event])
    assert sales_by_minute() == {(NOON, "confirmed", "EUR"): (1, 2, 200)}


@pytest.mark.django_db(transaction=True)
def test_counters_lose_nothing_under_eight_threads(shop: Shop) -> None:
    def count(n: int) -> None:
        try:
            for turn in range(25):
                shop.place(NOON if turn % 2 else LATER, [1, 1], 10)
                shop.view(NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(count, n) for n in range(8)]:
            future.result()

    totals: Counter[str] = Counter()
    for orders, units, revenue in sales_by_minute().values():
        totals.update(orders=orders, units=units, revenue=revenue)
    assert totals == {"orders": 200, "units": 400, "revenue": 2000}
    assert ActivityMinute.objects.get().count == 200
    assert list(find_sales_differences()) == []


def test_analytics_listens_to_orders_and_activity() -> None:
    assert consumer.topics == ["shop.activity", "shop.orders"]
