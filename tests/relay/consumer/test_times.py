"""A cursor keeps the times at which its newest events were applied, and the number of repeats that were dropped."""

from uuid import uuid4

import pytest

from relay.consumer.cursors import KEPT_TIMES
from relay.operations.mend import skip
from tests.relay.operated import operated
from tests.relay.readers import Readers, lend

__all__ = ["operated"]
pytestmark = pytest.mark.django_db


def test_each_applied_event_has_a_time_whatever_the_way(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo", "Dan", "Eve")
    readers.consumer.process(deliveries[:2])
    readers.consumer.process(deliveries[4:])  # the outbox fills the gap
    times = [at for at in readers.cursor(book).applied_at if at]
    assert len(times) == 5
    assert times == sorted(times)
    assert times[1] < times[2] == times[3]


def test_only_the_newest_times_are_kept(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, *(f"reader {n}" for n in range(2 * KEPT_TIMES + 3)))
    for delivery in deliveries[: KEPT_TIMES + 2]:
        readers.consumer.process([delivery])
    before = readers.cursor(book).applied_at
    assert len(before) == KEPT_TIMES
    readers.consumer.process(deliveries[KEPT_TIMES + 2 : KEPT_TIMES + 3])
    assert readers.cursor(book).applied_at[:-1] == before[1:]
    readers.consumer.process(deliveries[-1:])  # a gap of KEPT_TIMES events
    after = readers.cursor(book).applied_at
    assert (len(after), len(set(after))) == (KEPT_TIMES, 1)


def test_a_skipped_event_has_no_time(operated: Readers) -> None:
    book = uuid4()
    operated.failing["Bob"] = KeyError("page")
    operated.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    skip("readers", "test.library", str(book), actor="ada", reason="Bob has no card.")
    assert operated.catch_up(book)
    assert [at is None for at in operated.cursor(book).applied_at] == [False, True, False]


def test_repeats_are_counted_and_change_nothing_else(readers: Readers) -> None:
    book, other = uuid4(), uuid4()
    deliveries = lend(book, "Ada", "Bob")
    readers.consumer.process(deliveries)
    before = readers.cursor(book)
    readers.consumer.process([*deliveries, *lend(other, "Cleo")])
    after = readers.cursor(book)
    assert (before.repeats, after.repeats, after.repeated_at is None) == (0, 2, False)
    assert (after.last, after.applied_at) == (before.last, before.applied_at)
    assert (readers.applied(book), readers.cursor(other).repeats) == (["Ada", "Bob"], 0)
