"""An event that fails parks its key and no other key; errors that do not depend on an event park nothing."""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection

from relay import Consumer
from relay.consumer import consumer as consumer_module
from relay.consumer.arrivals import Arrival
from relay.consumer.cursors import take_parked
from relay.consumer.deliveries import Delivery, read_record
from relay.models import Cursor, ForeignRecord, Outbox
from tests.relay.events import BookLent
from tests.relay.readers import Readers, deliver, lend

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)


def test_a_gap_that_the_outbox_cannot_fill_parks_the_key_and_keeps_it_parked(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo")
    readers.consumer.process(deliveries[:1])
    Outbox.objects.filter(key=str(book), sequence=2).delete()
    readers.consumer.process(deliveries[2:])
    parked = readers.cursor(book)
    assert parked.parked_at
    assert parked.reason.startswith("MissingEvents: after sequence 1 Kafka delivered 3")
    assert readers.catch_up(book) is False
    still_parked = readers.cursor(book)
    assert (still_parked.parked_at, still_parked.last, still_parked.attempts) == (parked.parked_at, 1, 2)
    assert still_parked.reason == "MissingEvents: the outbox has no event after sequence 1 of 3"
    assert readers.applied(book) == ["Ada"]


def test_a_gap_too_wide_for_one_batch_is_healed_by_the_redrive(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "MAX_HEALED", 5)
    book = uuid4()
    people = [f"reader {n}" for n in range(12)]
    readers.consumer.process(lend(book, *people)[-1:])
    assert readers.cursor(book).reason.startswith("MissingEvents")
    assert readers.catch_up(book) is True
    assert readers.applied(book) == people


def test_an_unknown_type_waits_for_a_newer_consumer(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob")
    with monkeypatch.context() as patch:
        patch.setattr("relay.publisher.topics.known_events", lambda: {})
        readers.consumer.process(deliveries)
        parked = readers.cursor(book)
        assert parked.reason == "UnknownEventType: unknown type 'BookLent.v1' in test.library"
        assert parked.parked_at and parked.next_try_at
        assert 55 < (parked.next_try_at - parked.parked_at).total_seconds() < 65
        for _ in range(10):  # far more often than an event that fails
            assert readers.catch_up(book) is False
        assert readers.cursor(book).next_try_at
    assert readers.catch_up(book) is True
    assert readers.applied(book) == ["Ada", "Bob"]


def test_a_type_of_another_topic_is_unknown(readers: Readers) -> None:
    book = uuid4()
    lend(book, "Ada")
    Outbox.objects.filter(key=str(book)).update(type="NoticePosted.v1")
    readers.consumer.process(deliver(book))
    assert readers.cursor(book).reason == "UnknownEventType: unknown type 'NoticePosted.v1' in test.library"


@pytest.mark.parametrize(
    ("headers", "key", "words"),
    [
        ([], b"k", "it has no ce_type header"),
        ([("ce_type", b"BookLent.v1")], b"k", "its ce_sequence header is b'', not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"-1")], b"k", "not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"9" * 30)], b"k", "not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"9" * 5000)], b"k", "not a positive number"),
        ([("ce_type", b"\xff\0"), ("ce_sequence", b"one")], b"\xff\0k", "not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"1")], None, "it has no key"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"1")], b"k" * 5000, "its key has more than 500 characters"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"1")], b"\xff" * 400, "its key has more than 500 characters"),
    ],
)
def test_an_unreadable_message_parks_its_key_and_waits_for_a_person(
    readers: Readers, headers: list[tuple[str, bytes]], key: bytes | None, words: str
) -> None:
    record = SimpleNamespace(topic="test.library", partition=3, offset=42, key=key, headers=headers, value=b"\0")
    readers.consumer.process([read_record(record)])
    parked = Cursor.objects.get()
    assert parked.reason.startswith("UnreadableMessage: unreadable message at test.library[3]@42: ")
    assert words in parked.reason
    assert parked.parked_at and parked.next_try_at is None
    assert take_parked("readers") == []


@pytest.mark.parametrize("value", ["", "not json", "[]", '{"book": 1}', "[" * 100_000])
def test_a_value_that_cannot_be_decoded_parks_its_key(readers: Readers, value: str) -> None:
    """As if another program had written to the outbox."""
    book = uuid4()
    lend(book, "Ada")
    row = Outbox.objects.get(key=str(book))
    Outbox.objects.filter(pk=row.pk).update(body=value)
    readers.consumer.process(deliver(book))
    assert readers.cursor(book).reason.startswith("UnableToDecodeEvent: not a BookLent.v1")
    assert readers.applied(book) == []
    Outbox.objects.filter(pk=row.pk).update(body=row.body)
    assert readers.catch_up(book) is True
    assert readers.applied(book) == ["Ada"]


def test_an_event_with_another_key_in_its_value_parks_the_key_of_the_record(readers: Readers) -> None:
    book, other = uuid4(), uuid4()
    lend(book, "Ada")
    Outbox.objects.filter(key=str(book)).update(key=str(other))
    readers.consumer.process(deliver(other))
    reason = f"UnreadableMessage: the record has key '{other}', but its BookLent.v1 has key '{book}'"
    assert readers.cursor(other).reason == reason
    assert readers.cursor(other).next_try_at is None
    assert readers.applied(book) == []


@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize("position", [0, 3, 6])
def test_a_failing_event_parks_its_key_and_all_others_are_applied(readers: Readers, size: int, position: int) -> None:
    books = sorted((uuid4() for _ in range(size)), key=str)
    failing = books[position % size]
    readers.failing[failing] = ZeroDivisionError("no such page")
    batch = [delivery for book in books for delivery in lend(book, "Ada", "Bob")]
    readers.consumer.process(batch)
    for book in books:
        assert readers.applied(book) == ([] if book == failing else ["Ada", "Bob"])
    parked = readers.cursor(failing)
    assert (parked.last, parked.reason, parked.attempts) == (0, "ZeroDivisionError: no such page", 1)
    assert Cursor.objects.exclude(parked_at=None).count() == 1


def test_several_failing_keys_of_one_batch_are_all_found(readers: Readers) -> None:
    books = [uuid4() for _ in range(10)]
    for book in books[::3]:
        readers.failing[book] = ZeroDivisionError()
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    assert {book for book in books if readers.cursor(book).parked_at} == set(books[::3])
    assert {book for book in books if readers.applied(book)} == set(books) - set(books[::3])


def test_one_failing_event_among_many_is_found_with_few_repetitions() -> None:
    books = sorted((uuid4() for _ in range(32)), key=str)
    bad, calls = books[21], []
    consumer = Consumer("readers")

    @consumer.on(BookLent, many=True)
    def note_loans(events: Sequence[BookLent]) -> None:
        calls.append(len(events))
        if bad in {event.book for event in events}:
            raise ZeroDivisionError("no such page")

    consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    cursors = {cursor.key: cursor for cursor in Cursor.objects.all()}
    assert [key for key, cursor in cursors.items() if cursor.parked_at] == [str(bad)]
    assert sum(cursor.last for cursor in cursors.values()) == 31
    assert sum(calls) <= 2.5 * len(books), calls


def test_events_before_the_failing_event_of_a_key_stay_applied(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Bob"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    assert readers.applied(book) == ["Ada"]
    assert readers.cursor(book).last == 1


def test_later_events_of_a_parked_key_wait_and_are_applied_in_order(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    readers.consumer.process(lend(book, "Bob")[1:])
    readers.consumer.process(lend(book, "Cleo"))
    readers.failing.clear()
    readers.consumer.process(deliver(book))  # events that could be applied now wait for the redrive too
    assert readers.applied(book) == []
    assert readers.catch_up(book) is True
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    cursor = readers.cursor(book)
    assert (cursor.last, cursor.parked_at, cursor.reason, cursor.attempts, cursor.next_try_at) == (3, None, "", 0, None)
    readers.consumer.process(lend(book, "Dan"))
    assert readers.applied(book)[-1] == "Dan"


def test_a_failing_key_is_tried_with_growing_pauses_and_then_waits_for_a_person(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    pauses = []
    for attempts in itertools.count(1):
        cursor = readers.cursor(book)
        assert cursor.attempts == attempts
        if cursor.next_try_at is None:
            break
        with connection.cursor() as db:
            db.execute("select extract(epoch from next_try_at - clock_timestamp()) from relay_cursor")
            pauses.append(float(db.fetchone()[0]))
        assert readers.catch_up(book) is False
    assert [round(pause) for pause in pauses] == pytest.approx([1, 10, 60, 600], abs=1)
    assert take_parked("readers") == []
    readers.failing.clear()
    assert readers.catch_up(book) is True  # a person redrives it
    assert readers.applied(book) == ["Ada"]


def test_after_progress_the_retry_schedule_restarts(readers: Readers) -> None:
    book = uuid4()
    readers.failing |= {"Ada": ZeroDivisionError(), "Bob": KeyError("page")}
    readers.consumer.process(lend(book, "Ada", "Bob"))
    readers.catch_up(book)
    assert readers.cursor(book).attempts == 2
    del readers.failing["Ada"]
    assert readers.catch_up(book) is False
    cursor = readers.cursor(book)
    assert (cursor.last, cursor.attempts, cursor.reason) == (1, 1, "KeyError: 'page'")
    assert cursor.parked_at and cursor.next_try_at
    assert readers.applied(book) == ["Ada"]


def test_a_key_claimed_by_one_process_is_skipped_by_another(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp()")
    assert take_parked("readers") == [("test.library", str(book))]
    assert take_parked("readers") == []


def test_only_keys_whose_next_try_has_come_are_due(readers: Readers) -> None:
    due, later, flowing = uuid4(), uuid4(), uuid4()
    readers.failing |= {due: ZeroDivisionError(), later: ZeroDivisionError()}
    for book in (due, later, flowing):
        readers.consumer.process(lend(book, "Ada"))
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp() where key = %s", [str(due)])
        cursor.execute("update relay_cursor set next_try_at = now() + interval '1 h' where key = %s", [str(later)])
    assert take_parked("readers") == [("test.library", str(due))]
    assert take_parked("others") == []


@pytest.mark.parametrize("error", [OperationalError("lock timeout"), InterfaceError("connection closed")])
def test_a_database_error_is_raised_and_parks_nothing(readers: Readers, error: Exception) -> None:
    books = sorted((uuid4() for _ in range(4)), key=str)
    readers.failing[books[2]] = error
    batch = [delivery for book in books for delivery in lend(book, "Ada")]
    with pytest.raises(type(error), match=str(error)):
        readers.consumer.process(batch)
    assert [readers.applied(book) for book in books] == [[], [], [], []]
    assert not Cursor.objects.exclude(parked_at=None).exists()
    readers.failing.clear()
    readers.consumer.process(batch)
    assert [readers.applied(book) for book in books] == [["Ada"]] * 4


@committed
def test_an_event_whose_statement_times_out_is_parked_and_all_others_are_applied() -> None:
    books = sorted((uuid4() for _ in range(6)), key=str)
    alone: list[int] = []
    consumer = Consumer("readers")

    @consumer.on(BookLent, many=True)
    def note_loans(events: Sequence[BookLent]) -> None:
        if books[3] in {event.book for event in events}:
            alone.extend([1] * (len(events) == 1))
            with connection.cursor() as cursor:
                cursor.execute("set local statement_timeout = 20; select pg_sleep(9)")

    batch = [delivery for book in books for delivery in lend(book, "Ada")]
    consumer.process(batch)
    assert len(alone) == 1
    parked = Cursor.objects.exclude(parked_at=None).get()
    assert (parked.key, parked.last) == (str(books[3]), 0)
    assert parked.reason.startswith("OperationalError: canceling statement due to statement timeout")
    assert Cursor.objects.filter(last=1).count() == 5
    assert consumer.catch_up(("test.library", str(books[3]))) is False
    assert Cursor.objects.exclude(parked_at=None).get().attempts == 2


@committed
def test_a_statement_beyond_postgresqls_limits_parks_its_key_and_all_others_are_applied(readers: Readers) -> None:
    books = sorted((uuid4() for _ in range(4)), key=str)

    @readers.consumer.on(BookLent)
    def exceed_an_index(event: BookLent) -> None:
        if event.book == books[2]:
            with connection.cursor() as cursor:
                key = "".join(str(uuid4()) for _ in range(200))
                cursor.execute("insert into relay_stream (topic, key, last) values ('t', %s, 1)", [key])

    readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    assert readers.cursor(books[2]).reason.startswith("OperationalError: index row size")
    assert [readers.applied(book) for book in books] == [["Ada"], ["Ada"], [], ["Ada"]]
    assert readers.catch_up(books[2]) is False
    assert readers.cursor(books[2]).attempts == 2


def test_the_longest_key_fits_into_the_indexes_of_cursors_and_foreign_records(readers: Readers) -> None:
    key = "".join(chr(0x1F300 + n % 500) for n in range(500))
    longest_id = key[:64]
    readers.consumer.process([Delivery("test.library", 0, 1, key, 1, "BookLent.v1", b"{}", event_id=longest_id)])
    assert readers.cursor(key).parked_at
    assert ForeignRecord.objects.get().event_id == longest_id


@committed
def test_a_consumer_waits_for_a_lock_for_a_limited_time_and_parks_nothing(readers: Readers) -> None:
    book = uuid4()
    with connection.cursor() as cursor:
        cursor.execute("select set_config('lock_timeout', '0', false)")
    readers.consumer.on(BookLent)(lambda event: seen.append(read_lock_timeout()))
    seen: list[str] = []
    readers.consumer.process(lend(book, "Ada"))
    assert seen == ["5s"]


def read_lock_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("show lock_timeout")
        return str(cursor.fetchone()[0])


def test_a_database_error_during_a_redrive_is_raised_too(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    readers.failing["Ada"] = OperationalError("server closed the connection")
    with pytest.raises(OperationalError):
        readers.catch_up(book)
    assert readers.cursor(book).attempts == 1


def test_an_event_applied_by_another_process_meanwhile_does_not_park_its_key(readers: Readers) -> None:
    book = uuid4()
    batch = lend(book, "Ada")
    park = readers.consumer._park
    other = Readers()

    def be_overtaken(arrival: Arrival, error: Exception) -> None:
        other.consumer.process(batch)
        park(arrival, error)

    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer._park = be_overtaken  # type: ignore[method-assign]
    readers.consumer.process(batch)
    assert readers.cursor(book).parked_at is None
    assert readers.applied(book) == ["Ada"]


def test_reasons_that_postgresql_cannot_store_are_escaped(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ValueError("\0 and \ud800 and " + "x" * 5000)
    readers.consumer.process(lend(book, "Ada"))
    reason = readers.cursor(book).reason
    assert reason.startswith(r"ValueError: \0 and \ud800 and xxx")
    assert len(reason) == 2000
