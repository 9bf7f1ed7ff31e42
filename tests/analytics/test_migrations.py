"""The migration from counters to facts loses nothing: pruned events are copied, all others are applied again."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from analytics.handlers import consumer
from analytics.models import Minute, OrderFact
from analytics.verification import find_recount_differences
from relay import publish
from relay.testing import deliver
from tests.analytics.conftest import confirmed, placed

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
#: The tables of 0001, which hide nothing: the later migration has dropped them.
OLD = """
create temporary table analytics_sale (event_id uuid, kind text, order_id uuid, units int, revenue bigint,
                                       currency text, minute timestamptz) on commit drop;
create temporary table analytics_activityminute (minute timestamptz, kind text, count bigint) on commit drop
"""


@pytest.mark.django_db
def test_pruned_sales_are_copied_and_all_others_are_applied_again() -> None:
    migration = import_module("analytics.migrations.0003_without_counters")
    old, new = uuid4(), uuid4()
    before, after = confirmed(NOON, old, 2, 300), placed(NOON + timedelta(minutes=5), new, {"MUG": (1, 90)})
    publish(after)
    with connection.cursor() as cursor:
        cursor.execute(OLD)
        cursor.execute(
            "insert into relay_cursor (consumer, topic, key, last) values ('analytics', 'shop.orders', %s, 1)",
            [str(new)],
        )
        for event, kind, units, total in [(before, "confirmed", 2, 300), (after, "placed", 1, 90)]:
            minute = event.occurred_at.replace(second=0)
            values: list[Any] = [event.event_id, kind, event.key, units, total, minute]
            cursor.execute("insert into analytics_sale values (%s, %s, %s, %s, %s, 'EUR', %s)", values)
        cursor.execute(
            "insert into relay_stream (topic, key, last, floor) values ('shop.orders', %s, 2, 2)", [str(old)]
        )
        cursor.execute(migration.KEEP_PRUNED)
        cursor.execute(migration.APPLY_AGAIN)
    deliver(consumer)
    facts = {fact.order_id: fact for fact in OrderFact.objects.all()}
    assert (facts[old].confirmed_at, facts[old].total, facts[old].units) == (NOON, 300, 2)
    assert (facts[new].placed_at, facts[new].total) == (NOON + timedelta(minutes=5), 90)
    assert set(Minute.objects.values_list("minute", "kind", "count", "amount")) == {
        (NOON, "confirmed", 1, 300),
        (NOON + timedelta(minutes=5), "placed", 1, 90),
    }
    assert list(find_recount_differences()) == []
