"""Every order of arrival, batch and repetition gives the same tables, which equal a recount of the outbox.

The traffic has late events of 40 days, events around midnight and around the end of summer time. Hypothesis chooses the
traffic and the faults; seven known bugs must be found by the recount.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from analytics.facts import consumer as handlers
from analytics.facts import rollups, rows
from analytics.generation import Generation
from analytics.recount import comparison
from analytics.sums import SUMS
from relay import Event
from tests.analytics.replicas import Replica, publish_all
from tests.analytics.traffic import Traffic

pytestmark = pytest.mark.django_db
WILD = {"shuffle": True, "duplicate": 0.4, "delay": 0.4, "lose": 0.2}
SEED = int(os.environ["SEED"])
MANY = 20


@pytest.fixture
def pair(db: None) -> tuple[Replica, Replica]:
    """Analytics, and a control with its own name and tables."""
    return Replica(), Replica(Generation("control", "analytics_control"), create=True)


def compare(pair: tuple[Replica, Replica], seed: int, weather: dict[str, Any]) -> None:
    """Let the control see the traffic of `seed` calmly, and analytics in `weather`; compare both and the recount."""
    analytics, control = pair
    publish_all(Traffic(seed).events)
    control.deliver()
    analytics.deliver(seed=seed, **weather)
    assert analytics.read() == control.read()
    filled = {one.table for one in analytics.read()}
    # The sums of days may be missing, and the traffic of some seeds sells nothing out.
    assert filled | {"sold_out"} == set(comparison.KEYS) - {"session_day", *SUMS}
    assert analytics.find_differences() == control.find_differences() == []


def test_a_disturbed_consumer_equals_the_control_and_the_recount(pair: tuple[Replica, Replica]) -> None:
    compare(pair, SEED, WILD)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEED, SEED + MANY))
def test_twenty_seeds_give_no_difference(pair: tuple[Replica, Replica], seed: int) -> None:
    compare(pair, seed, WILD)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    seed=some.integers(0, 2**32),
    duplicate=some.sampled_from([0.0, 0.5, 1.0]),
    delay=some.sampled_from([0.0, 0.5, 0.8]),
    lose=some.sampled_from([0.0, 0.3]),
)
def test_any_order_batch_and_repetition_gives_the_same_checksums(
    pair: tuple[Replica, Replica], seed: int, duplicate: float, delay: float, lose: float
) -> None:
    with transaction.atomic():
        analytics, control = pair
        publish_all(Traffic(seed, visits=6).events)
        control.deliver()
        analytics.deliver(seed=seed, shuffle=True, duplicate=duplicate, delay=delay, lose=lose)
        assert analytics.read() == control.read()
        transaction.set_rollback(True)


Patch = pytest.MonkeyPatch
Change = Callable[[Sequence[Event]], Sequence[Event]]


def change_events(patch: Patch, change: Change) -> None:
    """Let `change` replace the events of each batch."""
    read_rows = rows.read_rows
    patch.setattr(handlers, "read_rows", lambda events: read_rows(change(events)))


def skip_one(patch: Patch) -> None:
    seen: Iterator[int] = iter(range(10**9))
    change_events(patch, lambda events: [event for event in events if next(seen) != 20])


def apply_twice(patch: Patch) -> None:
    seen: Iterator[int] = iter(range(10**9))
    change_events(patch, lambda events: [e for event in events for e in [event] * (2 if next(seen) == 20 else 1)])


def use_the_time_of_arrival(patch: Patch) -> None:
    now = timezone.now()
    change_events(patch, lambda events: [msgspec.structs.replace(event, occurred_at=now) for event in events])


def use_local_minutes(patch: Patch) -> None:
    def cut(moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo("Europe/Berlin")).replace(second=0, microsecond=0, tzinfo=UTC)

    patch.setattr(rows, "cut_to_minute", cut)


def write_without_addition(patch: Patch) -> None:
    written = rollups.MINUTES.expressions
    wrong = written.replace("count = f.count + excluded.count, units", "count = excluded.count, units")
    assert wrong != written
    patch.setattr(handlers, "PARTS", (*handlers.PARTS[:-1], rollups.MINUTES._replace(expressions=wrong)))


def close_windows_after_30_seconds(patch: Patch) -> None:
    """Drop events that are older than the newest one by more than a window and its grace period."""
    newest = [datetime(1, 1, 1, tzinfo=UTC)]

    def drop(events: Sequence[Event]) -> Sequence[Event]:
        kept = []
        for event in sorted(events, key=lambda event: event.occurred_at):
            newest[0] = max(newest[0], event.occurred_at)
            if event.occurred_at > newest[0] - timedelta(seconds=90):
                kept.append(event)
        return kept

    change_events(patch, drop)


def forget_after_an_hour(patch: Patch) -> None:
    """Let the state of a minute end, so that a late event begins with nothing."""

    write_rows = handlers.write_rows

    def forget(cursor: CursorWrapper, schema: str, batch: rows.Rows) -> list[date]:
        newest = max(minute for minute, _, _ in batch.minutes)
        cursor.execute(f"delete from {schema}.analytics_minute where minute < %s", [newest - timedelta(hours=1)])  # noqa: S608
        return write_rows(cursor, schema, batch)

    patch.setattr(handlers, "write_rows", forget)


@pytest.mark.parametrize(
    "seed_bug",
    [
        skip_one,
        apply_twice,
        use_the_time_of_arrival,
        use_local_minutes,
        write_without_addition,
        close_windows_after_30_seconds,
        forget_after_an_hour,
    ],
)
def test_the_recount_finds_each_known_bug(monkeypatch: Patch, seed_bug: Callable[[Patch], None]) -> None:
    seed_bug(monkeypatch)
    analytics = Replica()
    publish_all(Traffic(SEED, visits=8).events)
    analytics.deliver(seed=SEED, **WILD)
    assert analytics.find_differences()


def test_an_open_database_transaction_is_needed() -> None:
    """A failed batch leaves nothing: partitions of new days vanish with it."""
    visit = [event for event in Traffic(SEED).events if "ProductViewed" in event.type_name()][:1]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        handlers.add_events("public", visit)
        raise ZeroDivisionError
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_inherits where inhparent = 'analytics_activity'::regclass")
        assert cursor.fetchone() == (0,)
    with transaction.atomic():
        handlers.add_events("public", visit)
