"""Counting the lag reads few rows of large tables; an idle consumer compares all keys only if events are missing."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from relay import Consumer
from relay.consumer.lag import Lag, read_lag, read_lags
from relay.health.backlog import read_unpublished
from relay.models import Outbox, Settled
from tests.relay.events import BookLent
from tests.relay.operated import operate, operated, set_low_watermark
from tests.relay.readers import Readers, deliver, lend

__all__ = ["operated"]

pytestmark = pytest.mark.django_db


def test_the_lag_is_counted_with_indexes_despite_old_statistics(readers: Readers) -> None:
    """A hash join over all cursors or streams takes a second for each 100,000 keys."""
    parked = uuid4()
    readers.failing[parked] = ZeroDivisionError()
    lend(parked, "Ada")
    readers.consumer.process(deliver(parked))
    lend(uuid4(), "Grace")
    plans: list[str] = []

    def explain(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if re.search("(from|join) relay_outbox", sql):
            with context["connection"].connection.cursor() as cursor:
                plans.append("\n".join(line for (line,) in cursor.execute(f"explain {sql}", parameters)))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(explain):
        lag = read_lag(readers.consumer)
        unpublished = read_unpublished()
    assert (lag.events, lag.keys, lag.parked, unpublished.rows) == (2, 2, 1, 2)
    assert len(plans) == 3
    assert [plan for plan in plans if re.search("(Hash|Merge).* Join|Seq Scan|Materialize", plan)] == []


def test_a_very_large_lag_is_estimated_from_a_sample(operated: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.consumer.lag.SPAN", 50)
    monkeypatch.setattr("relay.consumer.lag.STRETCHES", 10)
    monkeypatch.setattr("relay.consumer.lag.LENGTH", 5)
    books = [uuid4() for _ in range(100)]
    for book in books:
        lend(book, "Ada", "Bob")
    lag = read_lag(operated.consumer)
    assert not lag.exact
    assert 199 <= lag.events <= 200, "some are counted, and five of each fifteen or so after them"
    assert 90 <= lag.keys <= 125
    assert "events and keys are estimates" in operate("relay_lag")
    for book in books[:70]:
        operated.consumer.process(deliver(book))
    assert 40 <= read_lag(operated.consumer).events <= 80
    for book in books[70:-1]:
        operated.consumer.process(deliver(book))
    assert 1 <= read_lag(operated.consumer).events <= 6, "what is applied is walked through until something waits"
    operated.consumer.process(deliver(books[-1]))
    assert read_lag(operated.consumer) == Lag(events=0, keys=0, parked=0, parked_events=0)


def test_the_lags_of_several_consumers_come_from_one_scan_of_the_outbox(readers: Readers) -> None:
    late = Consumer("late")
    late.on(BookLent)(lambda event: None)
    for _ in range(3):
        readers.consumer.process(lend(uuid4(), "Ada", "Bob"))
    lend(uuid4(), "Cleo")
    with CaptureQueriesContext(connection) as statements:
        lags = read_lags([readers.consumer, late])
    assert {name: (lag.events, lag.keys) for name, lag in lags.items()} == {"readers": (1, 1), "late": (7, 4)}
    assert sum("generate_series" in statement["sql"] for statement in statements) == 1


def test_a_count_that_takes_too_long_continues_at_the_next_call(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        readers.consumer.process(lend(uuid4(), "Ada"))
    last = Outbox.objects.latest("position").position
    set_low_watermark(last)
    monkeypatch.setattr("relay.consumer.lag.SPAN", last // 2)
    monkeypatch.setattr("relay.consumer.watermarks.WATERMARK_STEP", 1)
    lag = read_lag(readers.consumer, seconds=0)
    assert (lag.events, lag.exact, Settled.objects.get().position) == (1, False, last // 2)
    for _ in range(2):
        lag = read_lag(readers.consumer, seconds=0)
    assert (lag.events, lag.exact, Settled.objects.get().position) == (0, True, last)


def test_a_position_that_a_rebuild_deletes_during_the_count_is_not_written_again(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.consumer.watermarks.WATERMARK_STEP", 1)
    readers.consumer.process(lend(uuid4(), "Ada"))
    set_low_watermark(Outbox.objects.latest("position").position)

    def rebuild_after_counting(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "generate_series" in sql:
            Settled.objects.all().delete()
        return result

    with connection.execute_wrapper(rebuild_after_counting):
        assert read_lag(readers.consumer).events == 0
    assert not Settled.objects.exists()
    read_lag(readers.consumer)
    assert Settled.objects.get().position > 0
