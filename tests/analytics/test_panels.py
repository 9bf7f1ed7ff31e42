"""The rows of the panels: by event time, per currency, and unknown where nothing is known."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from analytics.completeness import Completeness
from analytics.models import DurationDay, OrderDay, OrderFact, Session, SessionDay
from analytics.panels.catalogue import PANELS
from analytics.panels.facts import FACTS, read_facts
from analytics.panels.period import SPANS, choose_period
from analytics.panels.reading import Row, forget
from analytics.recount.comparison import recount
from analytics.sessions import compute_sessions, sum_days
from analytics.sums import sum_past_days
from shop import events
from shop.events import Shortage
from tests.analytics.conftest import CONTACT, add, cancelled, confirmed, paid, placed

NOW = datetime(2026, 5, 4, 12, 7, 30, tzinfo=UTC)
M = timedelta(minutes=1)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forget_figures() -> None:
    forget()


def read(name: str, span: str = "hour", until: datetime = NOW) -> list[Row]:
    """Return the rows of a panel when everything before `until` is complete."""
    figures: dict[str, Any] = dict.fromkeys(Completeness.__dataclass_fields__, 0)
    complete = Completeness(**{**figures, "until": until, "is_waiting": False, "since": until})
    return PANELS[name].read(choose_period(span, NOW), complete)


def order(at: datetime, price: int = 1000, currency: str = "EUR", sku: str = "MUG", **changes: Any) -> UUID:
    """Add an order of one piece and return its id."""
    order_id = uuid4()
    add(placed(at, order_id, {sku: (1, price)}, currency=currency, **changes))
    return order_id


def test_a_period_ends_with_the_bucket_of_now() -> None:
    hour, day, month = (choose_period(span, NOW) for span in ("hour", "day", "month"))
    assert (hour.begin, hour.end) == (datetime(2026, 5, 4, 11, 8, tzinfo=UTC), datetime(2026, 5, 4, 12, 8, tzinfo=UTC))
    assert (day.end, len(day.list_buckets())) == (datetime(2026, 5, 4, 12, 15, tzinfo=UTC), 96)
    assert (month.end, len(month.list_buckets())) == (datetime(2026, 5, 5, tzinfo=UTC), 30)


def test_orders_per_minute_are_unknown_before_the_history_and_after_complete_until() -> None:
    order(NOW - 30 * M, 1000)
    order(NOW - 30 * M, 500)
    order(NOW - 10 * M, 700, "NOK")
    rows = {(row["begin"], row["currency"]): row for row in read("pace", until=NOW - 5 * M)}
    assert len(rows) == 2 * 60, "currencies are never added"
    minute = NOW.replace(second=0)
    assert (rows[minute - 30 * M, "EUR"]["orders"], rows[minute - 30 * M, "EUR"]["revenue"]) == (2, 1500)
    assert rows[minute - 29 * M, "EUR"]["orders"] == 0
    assert rows[minute - 31 * M, "EUR"]["orders"] is None, "before the first event nothing is known"
    assert [rows[minute - age * M, "EUR"]["is_settled"] for age in (6, 5, 4)] == [True, False, False]
    assert [rows[minute - age * M, "EUR"]["orders"] for age in (6, 5, 4)] == [0, 0, None]
    assert rows[minute, "EUR"]["orders_before"] is None
    assert {row["currency"] for row in read("headline") if row["figure"] == "gross"} == {"EUR", "NOK"}


def test_the_line_of_the_week_before_is_that_of_the_same_minute() -> None:
    order(NOW - timedelta(days=7, minutes=3), 900)
    order(NOW - 20 * M)
    rows = {row["begin"]: row for row in read("pace")}
    minute = NOW.replace(second=0)
    assert (rows[minute - 3 * M]["orders_before"], rows[minute - 3 * M]["revenue_before"]) == (1, 900)
    assert (rows[minute - 3 * M]["orders"], rows[minute - 2 * M]["orders_before"]) == (0, 0)


def test_the_funnel_of_visits_is_closed_and_ignores_visits_that_may_go_on() -> None:
    begun, order_id = NOW - timedelta(hours=5), uuid4()
    for steps, at in ((4, begun), (2, begun), (1, begun), (4, NOW - 10 * M)):
        visitor = uuid4()
        viewed = events.ProductViewed(occurred_at=at, visitor=visitor, sku="MUG")
        again = events.ProductViewed(occurred_at=at + M, visitor=visitor, sku="MUG")
        cart = events.CartChanged(occurred_at=at + M, visitor=visitor, sku="MUG", quantity=1)
        started = events.CheckoutStarted(occurred_at=at + M, visitor=visitor, units=1, total=9, currency="EUR")
        completed = events.CheckoutCompleted(occurred_at=at + M, visitor=visitor, order_id=order_id)
        add(*([viewed, again] if steps == 1 else [viewed, cart, started, completed][:steps]))
    add(events.ProductViewed(occurred_at=begun, visitor=uuid4(), sku="MUG"))  # perhaps without a cookie
    compute_sessions()
    assert [row["count"] for row in read("visits", "day")] == [3, 3, 2, 1, 1]
    assert [(row["currency"], row["carts"]) for row in read("abandoned", "day")] == [("none", 1)]
    assert {row["figure"]: row["value"] for row in read("headline", "day")}["conversion"] == pytest.approx(1 / 3)


def test_stored_sums_of_finished_days_equal_the_visits_until_a_late_activity_arrives(settings: Settings) -> None:
    settings.ANALYTICS_ACTIVITY_DAYS = 10_000

    def visit(at: datetime) -> None:
        visitor = uuid4()
        started: dict[str, Any] = {"occurred_at": at + M, "visitor": visitor, "units": 1, "total": 9, "currency": "EUR"}
        add(events.CartChanged(occurred_at=at, visitor=visitor, sku="MUG", quantity=1))
        add(events.CheckoutStarted(**started), events.ProductViewed(occurred_at=at, visitor=visitor, sku="MUG"))

    def read_all() -> list[list[Row]]:
        compute_sessions()
        forget()
        return [read(name, span) for name in ("visits", "abandoned", "headline") for span in ("day", "month")]

    for days in (0, 0.5, 1, 2, 2, 31, 45):
        visit(NOW - timedelta(days=days, hours=1))
    before = read_all()
    assert [row["carts"] for row in before[3]] == [5] and len(sum_days()) == 5
    Session.objects.filter(day=NOW - timedelta(days=2)).update(views=0)  # the sums are read, not the visits
    assert read_all() == before
    visit(NOW - timedelta(days=2))
    assert [row["carts"] for row in read_all()[3]] == [6]
    assert not SessionDay.objects.filter(day=NOW - timedelta(days=2)).exists()


def test_stored_sums_of_days_equal_the_facts_until_a_later_event_arrives() -> None:
    def read_all() -> list[list[Row]]:
        forget()
        return [read(name, span) for name in PANELS if name != "arrivals" for span in ("day", "month")]

    for number, days in enumerate((0, 0.5, 1, 2, 2, 3, 29, 31)):
        at = NOW - timedelta(days=days, hours=1)
        placed_one = order(at, currency="EUR" if number % 2 else "NOK", nth_order=1 + number % 3)
        add(confirmed(at + timedelta(seconds=7.123 * number), placed_one, 1, 1000))
        if number % 3 == 0:
            add(paid(events.PaymentDeclined, at + M, placed_one, 1000, reason="expired_card"))
            add(cancelled(at + 2 * M, placed_one, 1, 1000))
    before, day = read_all(), (NOW - timedelta(days=3)).date()
    assert day in sum_past_days(now=NOW) and OrderDay.objects.filter(day=day).count() == 1
    OrderFact.objects.filter(placed_at__date=day).update(confirmed_at=None)  # the sums are read, not the orders
    assert read_all() == before
    assert [text for text in recount().differences if text.startswith("order_day")], "the sums are out of date"
    changed = OrderFact.objects.get(placed_at__date=day)
    add(confirmed(NOW, changed.order_id, 1, 1000), events.OrderShipped(
        occurred_at=NOW, order_id=changed.order_id, number="N1", contact_id=CONTACT
    ))  # fmt: skip
    assert not OrderDay.objects.filter(day=day).exists() and not DurationDay.objects.filter(day=day).exists()
    after = read_all()
    assert [row["count"] for row in read("orders", "month")] == [7, 0, 7, 0, 1, 0] and after != before
    assert sum_past_days(now=NOW) and read_all() == after


@pytest.mark.django_db(transaction=True)
def test_a_step_that_is_written_while_its_day_is_summed_up_deletes_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    placed_one = order(NOW - timedelta(days=2))

    def sum_and_close() -> None:
        sum_past_days(now=NOW)
        connection.close()

    def sum_meanwhile(*_: object) -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(sum_and_close).result()
        assert OrderDay.objects.exists()

    monkeypatch.setattr("analytics.facts.consumer.write_stock", sum_meanwhile)
    add(confirmed(NOW, placed_one, 1, 1000))
    assert not OrderDay.objects.filter(day=(NOW - timedelta(days=2)).date()).exists()


def test_orders_by_steps_reasons_and_durations() -> None:
    at = NOW - timedelta(hours=2)
    good, declined, short = order(at), order(at, 2000), order(at, 3000, sku="POT")
    add(
        events.StockReserved(occurred_at=at + M, order_id=good),
        paid(events.PaymentAuthorized, at + M, good, 1000),
        confirmed(at + 2 * M, good, 1, 1000),
        paid(events.PaymentCaptured, at + 3 * M, good, 1000),
        paid(events.PaymentRefunded, at + 9 * M, good, 400, left=600),
        paid(events.PaymentDeclined, at + M, declined, 2000, reason="expired_card"),
        cancelled(at + 2 * M, declined, 1, 2000),
        events.StockRejected(
            occurred_at=at + M, order_id=short, shortages=[Shortage(sku="POT", requested=1, available=0)]
        ),
        events.StockLow(occurred_at=at - 90 * M, sku="POT", available=0, low_at=5),
    )
    assert [row["count"] for row in read("orders", "day")] == [3, 1, 1, 1, 0, 0]
    confirm, capture, ship = read("durations", "day")
    assert (confirm["p50"], confirm["orders"], confirm["waiting"]) == (120, 1, 1), "the declined one does not wait"
    assert (capture["p50"], ship["p50"], ship["waiting"]) == (180, None, 2)
    assert read("declines", "day") == [{"reason": "expired_card", "orders": 1, "share": 0.5}]
    assert read("cancellations", "day") == [
        {"reason": "payment_declined", "currency": "EUR", "orders": 1, "amount": 2000}
    ]
    assert read("refunds", "day") == [
        {"currency": "EUR", "refunds": 1, "refunded": 400, "captured": 1000, "share": 0.4}
    ]
    (sold_out,) = read("stockouts", "day")
    assert (sold_out["sku"], sold_out["ended_at"], sold_out["missing"], sold_out["lost"]) == ("POT", None, 1, 3000)
    assert {row["sku"]: (row["units"], row["amount"]) for row in read("products", "day")} == {
        "MUG": (2, 3000),
        "POT": (1, 3000),
    }
    assert read("rising", "day") == [], "the day before is not known"


def test_small_cells_of_cohorts_are_hidden() -> None:
    first = datetime(2026, 4, 1, tzinfo=UTC)
    for nth in range(6):
        order(first + nth * M, first_order_month="2026-04")
    for nth in range(4):
        order(NOW - nth * M, first_order_month="2026-04", nth_order=2)
    rows = {(row["cohort"], row["month"]): row for row in read("cohorts")}
    assert (rows["2026-04", "2026-04"]["buyers"], rows["2026-04", "2026-04"]["share"]) == (6, 1.0)
    hidden = rows["2026-04", "2026-05"]
    assert (hidden["buyers"], hidden["share"], hidden["is_hidden"]) == (None, None, True)
    assert [(row["buyer"], row["orders"]) for row in read("buyers")] == [("returning", 4)]


def test_every_panel_has_its_columns_and_rows_behind_it() -> None:
    order(NOW - 20 * M)
    for name, panel in PANELS.items():
        for span in SPANS:
            for row in read(name, span):
                assert set(panel.columns) <= set(row), name
        assert panel.facts in FACTS
    for name in FACTS:
        rows, has_next = read_facts(name, choose_period("hour", NOW), 1)
        assert not has_next
        assert not {"visitor", "event_id"} & {key for row in rows for key in row}, "nothing leads to a visitor"
