"""A rebuild fills a second generation next to the current one; readers and the consumer continue with it.

The consumer and the rebuild are real and share one database. Events arrive at each step of the rebuild.
"""

import os
from datetime import UTC
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from analytics.checksum import read_checksums
from analytics.generation import CONSUMER, FIRST, NEXT, SCHEMAS, current, reading
from analytics.models import GenerationChoice, Minute, OrderFact
from analytics.rebuild import filler
from analytics.rebuild.choice import KEPT, drop_former
from analytics.seal import seal_days
from analytics.sessions import compute_sessions
from relay.models import Intervention
from relay.operations.prune import collect_keys, count_behind
from relay.partitions import list_partitions
from tests.analytics.replicas import Replica, publish_all, take_part
from tests.analytics.replicas import run_analytics as run
from tests.analytics.traffic import Traffic

pytestmark = pytest.mark.django_db
SEED = int(os.environ["SEED"])
SECOND = SCHEMAS[1]
REASON = ["--reason", "a column was wrong"]


def read_all() -> list[Any]:
    """Return the checksums of the current generation, with computed sessions."""
    compute_sessions()
    return read_checksums()


def count(sql: str, *values: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.fetchone()[0])


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few hundred events many steps, without pauses."""
    monkeypatch.setattr(filler, "STEP", 40)
    monkeypatch.setattr(filler, "BUSY_STEP", 40)
    monkeypatch.setattr(filler, "PAUSE", 0.0)


def test_a_rebuild_while_events_arrive_switches_readers_and_consumer_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Traffic(SEED, visits=60).events
    third = len(events) // 3
    take_part(events[:third])
    assert "nothing was changed" in (plan := run("rebuild")) and f"events    {third:,}" in plan
    assert current() == FIRST and not GenerationChoice.objects.exclude(other="").exists()
    assert count("select count(*) from relay_cursor where consumer = %s", NEXT) == 0

    arriving, waiting = iter(events[third : 2 * third]), events[2 * third :]
    steps: list[str] = []

    def arrive(*_: Any) -> None:
        """After each step, publish a few events; apply most of them at once, the others later."""
        steps.append(current().schema)
        publish_all([event for _, event in zip(range(3), arriving, strict=False)])
        if len(steps) % 3:
            Replica().deliver()

    monkeypatch.setattr("analytics.rebuild.actions.Meter.show", arrive)
    assert "readers read the new generation" in run("rebuild", "--confirm", *REASON)
    assert len(steps) > 3 and set(steps) == {FIRST.schema}
    assert current().schema == SECOND and current().consumer == CONSUMER

    publish_all([*arriving, *waiting])
    Replica().deliver(duplicate=0.3, shuffle=True, seed=SEED)
    after = read_all()
    assert "no difference found" in run("recount")
    with reading():
        assert OrderFact.objects.count() > count("select count(*) from public.analytics_orderfact")

    assert f"{FIRST.schema} again" in run("switch-back", "--reason", "to compare")
    assert current() == FIRST and read_all() == after
    assert "no difference found" in run("recount")
    assert {row.action for row in Intervention.objects.all()} == {"rebuild", "switch generation", "switch back"}
    assert all(row.reason for row in Intervention.objects.all())


def test_a_sealed_day_that_differs_is_named_and_stops_the_switch() -> None:
    take_part(Traffic(SEED).events)
    with connection.cursor() as cursor:  # a bug of the current generation
        cursor.execute("update analytics_minute set count = count + 1 where kind = 'viewed'")
    seal_days()
    day = Minute.objects.filter(kind="viewed").earliest("minute").minute.astimezone(UTC).date()
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("analytics", "rebuild", "--confirm", *REASON, stdout=out)
    assert f"{day} minute:" in out.getvalue() and "product_hour" not in out.getvalue()
    assert current() == FIRST and f"built in {SECOND}" in run("generations")
    with pytest.raises(CommandError, match="still being built"):
        run("switch-back", *REASON)
    assert "readers read the new generation" in run("rebuild", "--confirm", "--force", *REASON)
    assert current().schema == SECOND and "no difference found" in run("recount")
    assert Intervention.objects.get(action="switch generation").reason.startswith("forced: ")
    with pytest.raises(CommandError, match="is kept until"):
        run("rebuild", "--confirm", *REASON)
    # The former generation is deleted after a day, and the next one is built in its schema.
    assert not drop_former()
    GenerationChoice.objects.update(switched_at=timezone.now() - KEPT)
    assert drop_former() and GenerationChoice.objects.get().other == ""
    assert count("select count(*) from public.analytics_orderfact") == 0
    assert count("select count(*) from relay_cursor where consumer = %s", NEXT) == 0
    assert "no difference found" in run("recount")
    before = read_all()
    run("rebuild", "--confirm", *REASON)
    assert current() == FIRST and read_all() == before


def test_skipped_and_waiting_events_are_in_no_generation() -> None:
    """The consumer skips one event and has not applied another: the new generation does the same."""
    events = Traffic(SEED).events
    take_part(events[:-5])
    publish_all(events[-5:])
    with connection.cursor() as cursor:
        cursor.execute("select topic, key, sequence from relay_outbox where sequence > 1 order by position limit 1")
        topic, key, sequence = cursor.fetchone()
    Intervention.objects.create(
        actor="eve", action="skip", consumer=CONSUMER, topic=topic, key=key, sequence=sequence, reason="broken"
    )
    run("rebuild", "--confirm", *REASON)
    Replica().deliver()
    assert "no difference found" in run("recount")


def test_an_event_that_fails_stops_the_build_and_the_next_run_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    take_part(Traffic(SEED).events)
    before = read_all()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("analytics.facts.consumer.write_stock", fail)
        with pytest.raises(CommandError, match="can't be applied to the new generation: ZeroDivisionError"):
            run("rebuild", "--confirm", *REASON)
    assert current() == FIRST and count("select count(*) from relay_cursor where parked_at is not null") == 0
    run("rebuild", "--confirm", *REASON)
    assert current().schema == SECOND and read_all() == before


def test_pruning_waits_for_a_generation_that_is_built_and_a_rebuild_needs_all_events() -> None:
    take_part(Traffic(SEED, visits=5).events)
    (partition, *_) = [part for part in list_partitions() if part]
    collect_keys(partition)
    assert CONSUMER not in count_behind(1, 2**62) and NEXT not in count_behind(1, 2**62)
    GenerationChoice.objects.update_or_create(id=1, defaults={"other": SECOND})
    assert count_behind(1, 2**62)[NEXT] > 0
    GenerationChoice.objects.update(other="")
    with pytest.raises(CommandError, match="has its own rebuild"):
        call_command("relay_replay", "analytics", "--rebuild", "--reason", "x")
    with pytest.raises(CommandError, match="a reason is needed"):
        run("rebuild", "--confirm")
    with pytest.raises(CommandError, match="only one generation"):
        run("switch-back", *REASON)
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 1 where topic = 'shop.orders'")
    for arguments in ([], ["--confirm", *REASON]):
        with pytest.raises(CommandError, match="are pruned from the outbox"):
            run("rebuild", *arguments)
    assert current() == FIRST
