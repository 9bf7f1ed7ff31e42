"""Checksums do not depend on the order of rows; a sealed day counts what arrives later."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from analytics.checksum import SEALED, read_checksums
from analytics.completeness import read_completeness
from analytics.models import DaySeal
from analytics.seal import seal_days
from relay import publish
from shop.events import ProductViewed
from tests.analytics.conftest import add

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def view(at: datetime) -> ProductViewed:
    return ProductViewed(occurred_at=at, visitor=uuid4(), sku="MUG")


def test_a_checksum_depends_on_the_rows_and_not_on_their_order() -> None:
    views = [view(NOON + timedelta(hours=9 * n)) for n in range(4)]
    add(*views)
    before = read_checksums()
    assert {one.day for one in before} == {date(2026, 5, 4), date(2026, 5, 5)}
    with connection.cursor() as cursor:
        cursor.execute("create temporary table kept as select * from analytics_activity order by at desc")
        cursor.execute("delete from analytics_activity")
        cursor.execute("insert into analytics_activity select * from kept")
        assert read_checksums() == before
        cursor.execute("update analytics_activity set sku = 'POT' where at = %s", [NOON])
    changed = {(one.table, one.day) for one in set(before) - set(read_checksums())}
    assert changed == {("activity", date(2026, 5, 4))}
    assert [one.table for one in read_checksums(day=date(2026, 5, 5)) if one.rows] == [*SEALED]


def test_a_complete_day_is_sealed_once_and_late_events_are_counted() -> None:
    add(view(NOON), view(timezone.now()))
    publish(view(NOON + timedelta(days=1)))  # not applied, so its day is not complete
    assert seal_days() == [NOON.date()]
    assert seal_days() == []
    assert set(DaySeal.objects.values_list("name", "rows", "restated_rows")) == {(name, 1, 0) for name in SEALED}
    add(view(NOON), view(NOON), view(timezone.now()))
    seal = DaySeal.objects.get(name="minute")
    assert (seal.restated_rows, seal.rows) == (2, 1) and seal.restated_at is not None
    assert read_completeness(since=timezone.now() - timedelta(hours=1)).restated == 2
    (now,) = [one for one in read_checksums(day=NOON.date()) if one.table == "minute"]
    assert now.sum != seal.checksum
