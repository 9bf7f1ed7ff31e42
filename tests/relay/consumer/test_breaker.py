"""The circuit breaker: a consumer that fails at most keys pauses instead of parking them, and resumes when it works."""

from uuid import UUID, uuid4

import pytest
from django.db import connection

from relay.consumer import breaker as breaker_module
from relay.consumer.breaker import Breaker, CircuitOpened
from relay.consumer.cursors import take_parked
from relay.models import ConsumerState, Cursor
from tests.relay.readers import Readers, lend

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker_module, "LOOK_EVERY_SECONDS", 0)


def watch(readers: Readers) -> Breaker:
    """Return the breaker of a process that has just started."""
    readers.consumer.breaker = breaker = Breaker(readers.consumer)
    return breaker


def make_due() -> None:
    with connection.cursor() as cursor:
        cursor.execute("update relay_consumerstate set resume_at = clock_timestamp()")


def read_state() -> ConsumerState:
    return ConsumerState.objects.get(consumer="readers")


def break_all(readers: Readers, breaker: Breaker, books: list[UUID]) -> None:
    """Deliver events of all `books` to a consumer that fails at each of them, until its breaker opens."""
    readers.failing |= dict.fromkeys(books, ZeroDivisionError("bad deploy"))
    with pytest.raises(CircuitOpened) as opened:
        readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    breaker.open(str(opened.value))


def test_a_bad_deploy_stops_the_consumer_instead_of_parking_the_topic(readers: Readers) -> None:
    breaker = watch(readers)
    assert breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(40)])
    assert Cursor.objects.exclude(parked_at=None).count() == 19
    state = read_state()
    assert state.paused_by == "circuit breaker"
    assert state.reason == "20 of the last 20 keys failed, now with ZeroDivisionError: bad deploy"
    assert state.resume_at and state.paused_at
    assert 4 < (state.resume_at - state.paused_at).total_seconds() < 6
    assert not breaker.may_run()


def test_a_few_failing_keys_among_many_are_parked(readers: Readers) -> None:
    watch(readers)
    books = sorted((uuid4() for _ in range(60)), key=str)  # the order in which they are applied
    readers.failing |= dict.fromkeys(books[::3], ZeroDivisionError())
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    assert Cursor.objects.exclude(parked_at=None).count() == 20


def test_probes_become_rarer_while_it_keeps_failing_and_no_more_keys_are_parked(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker_module, "LONGEST_SECONDS", 30)
    breaker = watch(readers)
    breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(30)])
    pauses = []
    for _ in range(4):
        assert not breaker.may_run()
        make_due()
        tries = len(readers.transactions)
        assert not breaker.may_run()
        assert len(readers.transactions) - tries == breaker_module.PROBED
        with connection.cursor() as cursor:
            cursor.execute("select extract(epoch from resume_at - clock_timestamp()) from relay_consumerstate")
            pauses.append(float(cursor.fetchone()[0]))
    assert pauses == pytest.approx([10, 20, 30, 30], abs=2)
    assert Cursor.objects.exclude(parked_at=None).count() == 19


def test_after_a_successful_probe_the_consumer_runs_and_parked_keys_are_due_at_once(readers: Readers) -> None:
    breaker = watch(readers)
    breaker.may_run()
    books = [uuid4() for _ in range(30)]
    break_all(readers, breaker, books)
    readers.failing.clear()
    assert not breaker.may_run()  # the pause has not ended
    make_due()
    assert breaker.may_run()
    assert read_state().paused_at is None
    with connection.cursor() as cursor:
        cursor.execute(
            "select bool_and(next_try_at <= clock_timestamp()) from relay_cursor where parked_at is not null"
        )
        assert cursor.fetchone()[0]


def test_a_new_process_probes_at_once_even_during_the_pause(readers: Readers) -> None:
    breaker = watch(readers)
    breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(30)])
    assert not watch(readers).may_run()  # still broken
    readers.failing.clear()
    assert watch(readers).may_run()  # fixed


def test_a_probe_without_due_keys_does_not_end_the_pause(readers: Readers) -> None:
    """Another process tries the keys at this moment, and each of them will fail again."""
    breaker = watch(readers)
    breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(30)])
    make_due()
    taken = take_parked("readers", 50)
    assert len(taken) == 19
    assert not breaker.may_run()
    assert not watch(readers).may_run()
    assert read_state().paused_at


def test_without_any_key_to_probe_the_consumer_runs_and_the_next_pause_is_longer(readers: Readers) -> None:
    breaker = watch(readers)
    breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(30)])
    Cursor.objects.update(next_try_at=None)  # all of them wait for a person
    make_due()
    assert breaker.may_run()
    break_all(readers, breaker, [uuid4() for _ in range(30)])
    with connection.cursor() as cursor:
        cursor.execute("select extract(epoch from resume_at - paused_at) from relay_consumerstate")
        assert 9 < float(cursor.fetchone()[0]) < 11


def test_the_breaker_neither_replaces_nor_ends_a_persons_pause(readers: Readers) -> None:
    breaker = watch(readers)
    ConsumerState.objects.create(
        consumer="readers", paused_at="2026-01-01T00:00Z", paused_by="ada", reason="stocktaking"
    )
    assert not breaker.may_run()
    breaker.open("20 of the last 20 keys failed")
    assert (read_state().paused_by, read_state().resume_at) == ("ada", None)
    assert not watch(readers).may_run()
    ConsumerState.objects.update(paused_at=None, paused_by="", reason="")
    assert breaker.may_run()


def test_a_pause_with_an_end_ends_automatically(readers: Readers) -> None:
    state = ConsumerState(consumer="readers", paused_at="2026-01-01T00:00Z", paused_by="ada", reason="stocktaking")
    state.resume_at = "2026-01-01T00:10Z"
    state.save()
    assert watch(readers).may_run()
    assert read_state().paused_at is None
