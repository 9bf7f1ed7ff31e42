"""The test kit: its queries, messages, seeds and errors. test_kit_and_broker tests its deliveries."""

import traceback
from collections.abc import Sequence
from uuid import uuid4

import pytest
from django.db import transaction

from relay import Consumer, publish
from relay.consumer.deliveries import Delivery
from relay.testing import (
    DeliveryLoops,
    assert_nothing_published,
    assert_published,
    capture_published,
    deliver,
    parked_keys,
    published,
    redrive,
)
from tests.relay.events import BookLent, BookReturned, LibraryEvent, NoticePosted
from tests.relay.readers import Readers

pytestmark = pytest.mark.django_db


def test_published_events_are_found_by_class_and_by_key() -> None:
    book, other = uuid4(), uuid4()
    events = [BookLent(book=book), NoticePosted(board="door"), BookReturned(book=book), BookLent(book=other)]
    for event in events:
        publish(event)
    assert published() == events
    assert published(BookLent) == [events[0], events[3]]
    assert published(LibraryEvent, key=book) == [events[0], events[2]]
    assert published(BookReturned, key=other) == []


def test_an_assertion_returns_the_event_and_lists_what_was_published_instead() -> None:
    book = uuid4()
    lent = BookLent(book=book, reader="Ada")
    publish(lent)
    publish(NoticePosted(board="door"))
    assert assert_published(BookLent, key=book, reader="Ada") == lent
    with pytest.raises(AssertionError) as refused:
        assert_published(BookLent, key=book, reader="Bob")
    assert str(refused.value) == (
        f"BookLent(key='{book}', reader='Bob') was published 0 times, not 1. Published events:\n"
        f"  {lent}  <- reader is 'Ada'\n  {published(NoticePosted)[0]}"
    )
    with pytest.raises(AssertionError, match="published 1 times, not 2"):
        assert_published(BookLent, times=2)
    with pytest.raises(TypeError, match="BookLent has no field raeder"):
        assert_published(BookLent, raeder="Ada")


def test_the_absence_of_events_is_checked_by_class_and_by_key() -> None:
    assert_nothing_published()
    book = uuid4()
    publish(BookLent(book=book))
    assert_nothing_published(BookReturned)
    assert_nothing_published(BookLent, key=uuid4())
    with pytest.raises(AssertionError, match=rf"expected no published event.*\n  BookLent\(.*{book}"):
        assert_nothing_published(key=book)


def test_a_block_captures_what_it_publishes_and_keeps() -> None:
    before, kept, undone = BookLent(book=uuid4()), BookLent(book=uuid4()), BookLent(book=uuid4())
    publish(before)
    with capture_published() as captured:
        publish(kept)
        with transaction.atomic():
            publish(undone)
            transaction.set_rollback(True)
    assert captured == [kept]


def test_each_delivery_goes_to_each_consumer_once(readers: Readers) -> None:
    book, others = uuid4(), Readers()
    others.consumer.name = "others"
    publish(BookLent(book=book, reader="Ada"))
    assert deliver(readers.consumer) == 1
    assert deliver(readers.consumer) == 0
    assert deliver(readers.consumer, others.consumer) == 1
    assert readers.applied(book) == ["Ada", "Ada"]


def test_the_error_of_a_handler_is_raised_with_the_key(readers: Readers) -> None:
    book = uuid4()
    publish(BookLent(book=book, reader="Ada"))
    publish(BookLent(book=book, reader="Bob"))
    readers.failing["Bob"] = ZeroDivisionError("no such page")
    with pytest.raises(ZeroDivisionError, match="no such page") as failed:
        deliver(readers.consumer)
    text = "".join(traceback.format_exception(failed.value))
    assert "in handle" in text
    assert f"consumer 'readers' parked test.library/{book} after sequence 1" in text
    with pytest.raises(ZeroDivisionError):
        redrive(readers.consumer)
    assert redrive(readers.consumer, parked="allow") == 0
    assert parked_keys(readers.consumer) == {str(book): "ZeroDivisionError: no such page"}
    readers.failing.clear()
    assert redrive(readers.consumer) == 1
    assert readers.applied(book) == ["Ada", "Bob"]


def test_events_that_cause_one_another_in_a_loop_are_reported() -> None:
    echo = Consumer("echo")

    @echo.on(NoticePosted)
    def repeat(event: NoticePosted) -> None:
        publish(NoticePosted(board=event.board))

    publish(NoticePosted(board="door"))
    with pytest.raises(DeliveryLoops, match=r"after 10 rounds.*NoticePosted.v1 of test.notices/door \(10 times\)"):
        deliver(echo, rounds=10)


def test_a_seed_repeats_a_run_and_a_random_seed_is_printed(
    readers: Readers, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    books = sorted(uuid4() for _ in range(5))
    calls: list[list[tuple[str, int]]] = []
    process = readers.consumer.process

    def process_and_note(deliveries: Sequence[Delivery]) -> None:
        calls.append([(delivery.key, delivery.sequence) for delivery in deliveries])
        process(deliveries)

    def run(seed: int | None = None) -> list[list[tuple[str, int]]]:
        calls.clear()
        with transaction.atomic():
            for book in books * 4:
                publish(BookLent(book=book))
            deliver(readers.consumer, duplicate=0.3, delay=0.3, lose=0.3, shuffle=True, seed=seed)
            assert [len(readers.applied(book)) for book in books] == [4] * 5
            transaction.set_rollback(True)
        return calls.copy()

    monkeypatch.setattr(readers.consumer, "process", process_and_note)
    first, second = run(), run()
    assert first != second
    seed = int(capsys.readouterr().out.split("seed=")[1].split(")")[0])
    assert run(seed=seed) == first


def test_invalid_shares_are_refused(readers: Readers) -> None:
    with pytest.raises(ValueError, match=r"duplicate=0, delay=1, lose=0"):
        deliver(readers.consumer, delay=1)
    with pytest.raises(ValueError, match=r"duplicate=2"):
        deliver(readers.consumer, duplicate=2)
