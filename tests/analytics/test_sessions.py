"""Sessions are computed from all activities of a visitor and day, also when some arrive late."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from analytics.models import Session
from analytics.sessions import compute_sessions, count_touched
from shop.events import CartChanged, CheckoutCompleted, CheckoutStarted, ProductViewed
from tests.analytics.conftest import add

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
M = timedelta(minutes=1)
VISITOR = uuid4()


def view(at: datetime, **others: Any) -> ProductViewed:
    return ProductViewed(occurred_at=at, **{"visitor": VISITOR, "sku": "MUG", **others})


def list_sessions(*columns: str) -> list[tuple[Any, ...]]:
    compute_sessions()
    return list(Session.objects.order_by("began_at", "visitor").values_list(*columns))


def test_a_session_has_the_steps_of_the_funnel_the_cart_and_the_order() -> None:
    first, second = uuid4(), uuid4()
    add(
        view(NOON),
        CartChanged(occurred_at=NOON + M, visitor=VISITOR, sku="MUG", quantity=3),
        CartChanged(occurred_at=NOON + 2 * M, visitor=VISITOR, sku="POT", quantity=1),
        CartChanged(occurred_at=NOON + 3 * M, visitor=VISITOR, sku="MUG", quantity=2),
        CartChanged(occurred_at=NOON + 4 * M, visitor=VISITOR, sku="POT", quantity=0),
        CheckoutStarted(occurred_at=NOON + 5 * M, visitor=VISITOR, units=2, total=2980, currency="EUR"),
        CheckoutStarted(occurred_at=NOON + 6 * M, visitor=VISITOR, units=2, total=2500, currency="EUR"),
        CheckoutCompleted(occurred_at=NOON + 7 * M, visitor=VISITOR, order_id=first),
        CheckoutCompleted(occurred_at=NOON + 8 * M, visitor=VISITOR, order_id=second),
        view(NOON, visitor=uuid4()),
    )
    rows = list_sessions("visitor", "events", "views", "carts", "checkouts", "orders", "cart_units", "cart_amount")
    assert sorted(row[1:] for row in rows) == [(1, 1, 0, 0, 0, 0, None), (9, 1, 3, 2, 2, 2, 2500)]
    assert Session.objects.get(visitor=VISITOR).order_id == second


def test_a_pause_of_more_than_30_minutes_and_midnight_utc_end_a_session() -> None:
    midnight = NOON + timedelta(hours=12)
    add(view(NOON), view(NOON + 30 * M), view(NOON + 60 * M + timedelta(microseconds=1)), view(midnight - M))
    add(view(midnight), view(midnight + 20 * M))
    assert list_sessions("began_at", "ended_at", "events") == [
        (NOON, NOON + 30 * M, 2),
        (NOON + 60 * M + timedelta(microseconds=1), NOON + 60 * M + timedelta(microseconds=1), 1),
        (midnight - M, midnight - M, 1),
        (midnight, midnight + 20 * M, 2),
    ]


def test_a_late_view_joins_two_sessions() -> None:
    add(view(NOON), view(NOON + 50 * M))
    assert list_sessions("events") == [(1,), (1,)]
    add(view(NOON + 25 * M))
    assert count_touched() == 1
    assert list_sessions("began_at", "ended_at", "events") == [(NOON, NOON + 50 * M, 3)]
    assert count_touched() == compute_sessions() == 0
