"""The sales pages: who may look, what they show with and without figures, the rows behind, CSV, and the API."""

import csv
from datetime import UTC, date, datetime, timedelta
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from analytics.completeness import Completeness
from analytics.panels.facts import PAGE
from analytics.panels.reading import forget
from shop import events
from tests.analytics.conftest import add, paid, placed

pytestmark = pytest.mark.django_db


@pytest.fixture
def finance() -> Client:
    """Return a client of the group finance, which may see sales and nothing else of the control room."""
    forget()
    user = User.objects.create_user("ada", password="difference-engine-1843", is_staff=True)
    user.groups.add(Group.objects.get(name="finance"))
    client = Client(headers={"Authorization": f"Bearer {AuthToken.objects.create(user)[1]}"})
    client.force_login(user)
    return client


def read_page(client: Client, address: str = "/control/sales/?span=hour") -> str:
    """Return the text of a page."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def make_orders(count: int, currency: str = "EUR") -> None:
    """Add orders of 12.50 that were placed ten minutes ago."""
    at = timezone.now() - timedelta(minutes=10)
    for _ in range(count):
        order_id = uuid4()
        add(placed(at, order_id, {"MUG": (1, 1250)}, currency=currency))
        add(paid(events.PaymentDeclined, at + timedelta(seconds=1), order_id, 1250, reason="expired_card"))


def test_an_empty_shop_says_what_to_do(finance: Client) -> None:
    page = read_page(finance)
    assert "No visits and orders in this time" in page
    assert "make demo-data" in page
    assert 'href="/control/"' not in page, "finance may not open the overview"


def test_figures_have_definitions_rows_and_a_csv_file(finance: Client) -> None:
    make_orders(PAGE + 2)
    make_orders(1, "NOK")
    page = read_page(finance)
    assert "€650.00" in page
    assert "NOK" in page
    assert "€662.50" not in page, "currencies are not added"
    assert "Definition and rows" in page
    panel = read_page(finance, "/control/sales/declines/?span=hour")
    assert "expired card" in panel
    assert "Orders with a declined payment" in panel
    assert "Older" in panel
    assert "Newer" in read_page(finance, "/control/sales/declines/?span=hour&page=2")
    assert "no rows on page 9" in read_page(finance, "/control/sales/declines/?span=hour&page=9")
    answer = finance.get("/control/sales/declines/rows.csv?span=hour")
    rows = list(csv.reader(answer.content.decode().splitlines()))
    assert rows == [["reason", "orders", "share"], ["expired_card", str(PAGE + 3), "1.0"]]
    assert "declines-hour" in answer["Content-Disposition"]
    assert finance.get("/control/sales/weather/").status_code == 404


def test_while_analytics_catches_up_the_page_names_the_time_and_the_end(finance: Client) -> None:
    make_orders(1)
    until = datetime(2026, 5, 4, 10, 30, 5, tzinfo=UTC)
    complete = Completeness(
        since=until,
        until=until,
        is_waiting=True,
        parked_keys=1,
        parked_events=3,
        refused_keys=0,
        not_recorded=2,
        late=40,
        restated=0,
        visits_waiting=0,
        archived_until=date(2026, 2, 3),
        overdue_days=2,
    )
    now = until + timedelta(minutes=8)
    described = {"drain_seconds": {"analytics": 24.0}}
    with (
        patch("shop.control.sales.pages.read_complete", return_value=complete),
        patch("shop.control.sales.pages.read_newest", return_value=(object(), 1.0)),
        patch("shop.control.sales.pages.describe", return_value=described),
        patch("shop.control.sales.pages.timezone.now", return_value=now),
    ):
        page = " ".join(read_page(finance).split())
    assert "Catching up: complete until" in page
    assert "Analytics is 8 min 0 s behind" in page
    assert "caught up at about <strong>10:38:29 UTC</strong>" in page
    assert "1 with 3 events" in page
    assert "at least 2" in page
    assert "2026-02-03" in page and "2 old days of activity should have been dropped" in page


def test_a_minute_that_came_later_shows_what_was_known_then(finance: Client) -> None:
    make_orders(3)
    assert "6 events of this time came later than two minutes" in " ".join(read_page(finance).split())


def test_the_api_answers_with_the_same_rows(finance: Client) -> None:
    make_orders(2)
    listed = finance.get("/api/v1/analytics/").json()
    assert {"pace", "visits", "cohorts"} <= {panel["name"] for panel in listed["panels"]}
    answer = finance.get("/api/v1/analytics/declines/?span=hour").json()
    assert answer["rows"] == [{"reason": "expired_card", "orders": 2, "share": 1.0}]
    assert answer["complete"]["parked_keys"] == 0
    pace = finance.get("/api/v1/analytics/pace/?span=hour").json()["rows"]
    assert sum(row["revenue"] or 0 for row in pace) == 2500
    assert pace[0]["orders"] is None, "unknown, not 0"
    wrong = finance.get("/api/v1/analytics/declines/?span=year")
    assert (wrong.status_code, "hour, day, month" in wrong.content.decode()) == (400, True)
    assert finance.get("/api/v1/analytics/weather/").status_code == 404
