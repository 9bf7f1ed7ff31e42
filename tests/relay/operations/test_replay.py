"""A replay applies only unapplied events; a rebuild applies all events again, once."""

import threading
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.utils import timezone

from relay import publish
from relay.consumer.lag import read_lag
from relay.models import ConsumerState, Intervention, Outbox, Settled
from relay.operations import replay as replay_module
from tests.relay.events import BookLent
from tests.relay.operated import mark_published, operate, operate_json, operated, set_low_watermark
from tests.relay.readers import Readers, lend

__all__ = ["operated"]
pytestmark = pytest.mark.django_db


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_applied_events_are_suppressed_and_others_are_applied(operated: Readers) -> None:
    book, other = uuid4(), uuid4()
    operated.consumer.process(lend(book, "Ada", "Bob"))
    lend(book, "Cleo")
    lend(other, "Dan")
    mark_published()
    assert operate_json("relay_replay", "readers", "--beginning", "--dry-run") == {
        "read": 4, "applied": 2, "suppressed": 2, "waiting": 0, "pruned": 0,
    }  # fmt: skip
    assert (operated.applied(other), Intervention.objects.count()) == ([], 0)
    assert operate_json("relay_replay", "readers", "--key", str(book))["applied"] == 1
    assert (operated.applied(book), operated.applied(other)) == (["Ada", "Bob", "Cleo"], [])
    text = operate("relay_replay", "readers", "--beginning", "--reason", "to be sure")
    assert "4 events read from the outbox, 3 suppressed (applied before), 1 applied" in text
    assert operated.applied(other) == ["Dan"]
    assert [audit.reason for audit in Intervention.objects.order_by("id")] == ["", "to be sure"]


def test_a_replay_reads_many_chunks_in_order(operated: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "CHUNK_ROWS", 3)
    book = uuid4()
    people = [f"reader {n}" for n in range(10)]
    lend(book, *people)
    mark_published()
    assert operate_json("relay_replay", "readers", "--beginning")["applied"] == 10
    assert operated.applied(book) == people


def test_an_event_with_a_trace_is_replayed_like_any_other(operated: Readers) -> None:
    book = uuid4()
    lend(book, "Ada")
    Outbox.objects.update(traceparent=f"00-{'1' * 32}-{'2' * 16}-01")
    mark_published()
    assert operate_json("relay_replay", "readers", "--beginning")["applied"] == 1
    assert operated.applied(book) == ["Ada"]


def test_a_replay_begins_at_the_given_time(operated: Readers) -> None:
    books = [uuid4() for _ in range(20)]
    for hours, book in zip(range(20, 0, -1), books, strict=True):
        lend(book, "Ada")
        Outbox.objects.filter(key=str(book)).update(created_at=timezone.now() - timedelta(hours=hours))
    mark_published()
    since = timezone.now() - timedelta(hours=4, minutes=30)
    assert operate_json("relay_replay", "readers", "--since", since.isoformat())["applied"] == 4
    assert [operated.applied(book) for book in books] == [[]] * 16 + [["Ada"]] * 4


def test_a_replay_misses_no_event_if_the_clock_was_set_back(operated: Readers) -> None:
    """Ten events at a correct time, then the clock goes back by two hours, then ten more events."""
    books = [uuid4() for _ in range(20)]
    for number, book in enumerate(books):
        lend(book, "Ada")
        created = timezone.now() - timedelta(hours=1 if number < 10 else 3)
        Outbox.objects.filter(key=str(book)).update(created_at=created)
    mark_published()
    since = timezone.now() - timedelta(hours=1, minutes=30)
    assert operate_json("relay_replay", "readers", "--since", since.isoformat())["applied"] == 20
    assert [operated.applied(book) for book in books] == [["Ada"]] * 20


def test_an_event_that_fails_in_a_replay_is_parked_and_reported(operated: Readers) -> None:
    book = uuid4()
    lend(book, "Ada", "Bob", "Cleo")
    mark_published()
    operated.failing["Bob"] = ZeroDivisionError("boom")
    text = operate("relay_replay", "readers", "--beginning")
    assert "2 wait behind parked events" in text
    assert operated.cursor(book).parked_at


def test_a_consumer_without_a_rebuild_function_is_not_rebuilt(operated: Readers) -> None:
    with pytest.raises(CommandError, match="can't be rebuilt"):
        operate("relay_replay", "readers", "--rebuild", "--reason", "x")


def test_a_rebuild_empties_the_tables_and_applies_all_events_again(operated: Readers) -> None:
    operated.consumer.rebuild = partial(run, "delete from relay_outbox where topic = 'test.notices'")
    book = uuid4()
    operated.consumer.process(lend(book, "Ada", "Bob"))
    mark_published()
    assert operate_json("relay_replay", "readers", "--rebuild", "--reason", "new column", "--dry-run")["applied"] == 2
    assert operated.applied(book) == ["Ada", "Bob"]
    with pytest.raises(CommandError, match="a reason is needed"):
        operate("relay_replay", "readers", "--rebuild")
    assert operate_json("relay_replay", "readers", "--rebuild", "--reason", "new column")["applied"] == 2
    assert operated.applied(book) == ["Ada", "Bob"]
    assert [audit.action for audit in Intervention.objects.order_by("id")] == ["rebuild", "replay"]


def test_a_rebuild_without_all_events_is_refused_and_a_replay_reports_what_is_missing(operated: Readers) -> None:
    operated.consumer.rebuild = lambda: None
    book = uuid4()
    operated.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    mark_published()
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 2 where key = %s", [str(book)])
        cursor.execute("delete from relay_outbox where key = %s and sequence <= 2", [str(book)])
    with pytest.raises(CommandError, match=r"2 events of test\.library are pruned"):
        operate("relay_replay", "readers", "--rebuild", "--reason", "x")
    assert operated.cursor(book).last == 3
    assert "refused: 2 older events are pruned" in operate("relay_replay", "readers", "--beginning")
    with pytest.raises(CommandError, match="older events are pruned"):
        operate("relay_replay", "readers", "--since", "2020-01-01T00:00Z")


@pytest.mark.django_db(transaction=True)
def test_a_batch_in_flight_during_a_reset_is_counted_once(operated: Readers) -> None:
    """Its effect must not vanish with the emptied tables while its cursor remains."""
    handling, go_on = threading.Event(), threading.Event()

    def count(event: BookLent) -> None:
        with connection.cursor() as cursor:
            cursor.execute("update relay_consumerstate set reason = reason || %s", [event.reader])
        if event.reader == "Bob":
            handling.set()
            go_on.wait(60)

    def work(*words: str) -> None:
        operate(*words) if words else operated.consumer.process(batch)
        connection.close()

    operated.consumer.on(BookLent)(count)
    operated.consumer.rebuild = partial(run, "update relay_consumerstate set reason = ''")
    ConsumerState.objects.create(consumer="counted")
    operated.consumer.process(lend(uuid4(), "Ada"))
    batch = lend(uuid4(), "Bob")
    mark_published()
    threads = [
        threading.Thread(target=work),
        threading.Thread(target=work, args=("relay_replay", "readers", "--rebuild", "--reason", "x")),
    ]
    threads[0].start()
    assert handling.wait(60)
    threads[1].start()
    threads[1].join(0.5)
    assert threads[1].is_alive()  # waits for the batch
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert sorted(ConsumerState.objects.get(consumer="counted").reason) == sorted("AdaBob")


def test_pausing_and_resuming_are_audited(operated: Readers) -> None:
    with pytest.raises(CommandError, match="a reason is needed"):
        operate("relay_pause", "readers")
    assert operate_json("relay_pause", "readers", "--reason", "stocktaking", "--actor", "eve")["changed"]
    assert "until 20" in operate("relay_pause", "readers", "--reason", "lunch", "--minutes", "30", "--dry-run")
    with connection.cursor() as cursor:
        cursor.execute("select paused_by, reason, resume_at from relay_consumerstate where paused_at is not null")
        assert cursor.fetchall() == [("eve", "stocktaking", None)]
    assert "readers is resumed" in operate("relay_resume", "readers")
    assert "readers was not paused" in operate("relay_resume", "readers")
    assert list(Intervention.objects.order_by("id").values_list("action", "before", "after")) == [
        ("pause", "running", "paused until resumed"),
        ("resume", "paused by eve: stocktaking", "running"),
    ]


def test_lag_and_leases_are_printed(operated: Readers) -> None:
    book = uuid4()
    operated.consumer.process(lend(book, "Ada"))
    with transaction.atomic():
        publish(BookLent(book=book))
    Outbox.objects.filter(key=str(book), sequence=2).update(created_at=timezone.now() - timedelta(minutes=3))
    lag = operate_json("relay_lag")["consumers"]["readers"]
    assert (lag["events"], lag["keys"], lag["parked"]) == (1, 1, 0)
    assert 179 < lag["oldest_seconds"] < 190
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_shardlease (shard, owner, epoch, until) values"
            " (0, 'a:1', 3, clock_timestamp() + interval '4 s'), (1, 'b:2', 7, '-infinity');"
            "insert into relay_relaymember values ('a:1', clock_timestamp() + interval '4 s')"
        )
    reported = operate_json("relay_leases")
    assert [(h["shard"], h["epoch"], h["remaining_seconds"] > 0) for h in reported["shards"]] == [
        (0, 3, True), (1, 7, False),
    ]  # fmt: skip
    assert reported["members"][0]["shards"] == 1
    assert "1 relays, 1 shards held" in operate("relay_leases")


def test_lag_counts_only_above_its_position_and_forgets_nothing_below(
    operated: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.consumer.watermarks.WATERMARK_STEP", 1)
    parked, book = uuid4(), uuid4()
    operated.failing[parked] = ZeroDivisionError("boom")
    operated.consumer.process([*lend(parked, "Ada", "Bob"), *lend(book, "Ada")])
    waits = lend(book, "Cleo")
    lend(uuid4(), "Dan")
    mark_published()
    set_low_watermark(Outbox.objects.latest("position").position)
    for _ in range(2):  # the second time from the stored position
        lag = read_lag(operated.consumer)
        assert (lag.events, lag.keys, lag.parked) == (4, 3, 1)
        watermark = Settled.objects.get(consumer="readers").position
        assert watermark == waits[-1].offset - 1
    operated.consumer.process(waits)
    assert read_lag(operated.consumer).events == 3
    operated.failing.clear()
    assert operated.catch_up(parked)
    assert read_lag(operated.consumer).events == 1
