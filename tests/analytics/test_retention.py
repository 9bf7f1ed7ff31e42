"""Retention: an old day of activity is dropped as a whole, in all generations, and only if it is sealed."""

from datetime import UTC, timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from analytics.generation import FIRST, SCHEMAS
from analytics.models import Activity, DaySeal, Minute, Session
from analytics.recount.comparison import recount
from analytics.retention import drop_old_days
from analytics.seal import seal_days
from analytics.sessions import compute_sessions
from analytics.tasks import drop_old_facts
from shop.events import CheckoutCompleted, ProductViewed
from tests.analytics.replicas import Replica, publish_all

pytestmark = pytest.mark.django_db


def test_an_old_day_is_dropped_when_it_is_sealed_and_the_link_of_visit_and_order_with_it(settings: Settings) -> None:
    settings.ANALYTICS_ACTIVITY_DAYS = 40
    today = timezone.now().astimezone(UTC).replace(hour=12)
    old, kept, visitor = today - timedelta(days=41), today - timedelta(days=40), uuid4()
    for at in (old, kept):
        publish_all([ProductViewed(occurred_at=at, visitor=visitor, sku="MUG")])
        publish_all([CheckoutCompleted(occurred_at=at, visitor=visitor, order_id=uuid4())])
    Replica().deliver()
    compute_sessions()
    assert drop_old_days() == []  # not sealed yet
    seal_days()
    drop_old_facts()
    assert {row.at for row in Activity.objects.all()} == {kept}
    assert {row.day for row in Session.objects.exclude(order_id=None)} == {kept.date()}
    assert Minute.objects.filter(minute__date=old.date()).count() == 2
    assert DaySeal.objects.get(day=old.date(), name="activity").rows == 2
    assert recount().differences == []  # the outbox still has the events of the dropped day
    call_command("analytics", "rebuild", "--confirm", "--reason", "test")
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*), min(at) from {SCHEMAS[1]}.analytics_activity")  # noqa: S608 - test
        assert cursor.fetchone() == (2, kept)
        cursor.execute(f"select rows from {SCHEMAS[1]}.analytics_dayseal where name = 'activity' order by day")  # noqa: S608 - test
        assert cursor.fetchall() == [(2,), (2,)]
    late = ProductViewed(occurred_at=old, visitor=visitor, sku="MUG")
    publish_all([late])
    Replica().deliver()
    assert recount().differences == []
    assert drop_old_days() == [old.date()] and FIRST.schema == "public"
