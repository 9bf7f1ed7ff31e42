"""The filler of a rebuild measures how many events arrive, and makes its steps small while there are some."""

import os
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from analytics.generation import NEXT, SCHEMAS, Generation, create_tables
from analytics.models import GenerationChoice
from analytics.rebuild import filler
from analytics.rebuild.filler import BUSY_RATE, Arrivals, Filler
from relay.models import Outbox
from relay.partitions import read_position
from tests.analytics.replicas import publish_all, take_part
from tests.analytics.traffic import Traffic

pytestmark = pytest.mark.django_db
SEED = int(os.environ["SEED"])


def make_old() -> None:
    """Let all events of the outbox be a minute old."""
    Outbox.objects.update(created_at=F("created_at") - timedelta(minutes=1))


def test_events_of_the_last_second_make_the_outbox_busy_and_older_events_do_not() -> None:
    publish_all(Traffic(SEED, visits=2).events)
    assert Arrivals(read_position()).rate == Outbox.objects.count() >= BUSY_RATE
    make_old()
    assert Arrivals(read_position()).rate == 0


def test_the_rate_is_measured_over_at_least_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    arrivals = Arrivals(1000)
    now = 100.9
    arrivals.note(1050)
    assert arrivals.rate == 0
    now = 102.0
    arrivals.note(1060)
    assert arrivals.rate == 30
    now = 104.0
    arrivals.note(1060)
    assert arrivals.rate == 0


@pytest.mark.parametrize(("is_old", "expected"), [(True, [40]), (False, [10])])
def test_the_first_step_is_small_while_events_arrive(
    monkeypatch: pytest.MonkeyPatch, is_old: bool, expected: list[int]
) -> None:
    take_part(Traffic(SEED, visits=10).events[:40])
    if is_old:
        make_old()
    monkeypatch.setattr(filler, "STEP", 40)
    monkeypatch.setattr(filler, "BUSY_STEP", 10)
    sizes: list[int] = []
    apply = Filler.apply_stretch

    def note(self: Filler, after: int, until: int) -> Any:
        sizes.append(until - after)
        return apply(self, after, until)

    monkeypatch.setattr(Filler, "apply_stretch", note)
    other = Generation(NEXT, SCHEMAS[1])
    create_tables(other)
    next(Filler(other).walk(GenerationChoice.objects.create(other=other.schema)))
    assert sizes == expected
