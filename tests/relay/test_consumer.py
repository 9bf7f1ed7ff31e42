"""The consumer on deliveries as Kafka makes them, without a broker: each event once, in order, whatever comes."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from relay import consumer as consumer_module
from relay import kafka
from relay.consumer import Consumer, in_waves
from relay.cursors import find_behind, find_due
from relay.kafka import Delivery
from relay.models import Cursor, Outbox
from relay.outbox import publish
from tests.relay.events import BookLent, BookReturned, LibraryEvent, NoticePosted

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)


class Readers:
    """A consumer that notes what it applied, as committed rows, and that fails when told to.

    `failing` maps an event's sequence number or book to the error that its handler raises.
    """

    def __init__(self) -> None:
        self.consumer = Consumer("readers")
        self.consumer.on(BookLent)(self.handle)
        self.failing: dict[object, Exception] = {}
        self.transactions: list[int] = []

    def handle(self, event: BookLent) -> None:
        publish(NoticePosted(board=str(event.book), text=event.reader))
        with connection.cursor() as cursor:
            cursor.execute("select pg_current_xact_id()::text::bigint")
            self.transactions.append(cursor.fetchone()[0])
        for cause in (event.book, event.reader):
            if cause in self.failing:
                raise self.failing[cause]

    def applied(self, book: UUID) -> list[str]:
        """The readers of the book's applied events, in order."""
        rows = Outbox.objects.filter(topic="test.notices", key=str(book)).order_by("sequence")
        return [NoticePosted.decode(row.body).text for row in rows]

    def cursor(self, book: UUID | str) -> Cursor:
        return Cursor.objects.get(consumer="readers", topic="test.library", key=str(book))

    def catch_up(self, book: UUID | str) -> bool:
        return self.consumer.catch_up(("test.library", str(book)))


@pytest.fixture
def readers() -> Readers:
    return Readers()


def lend(book: UUID, *people: str) -> list[Delivery]:
    """Publish one BookLent for each of `people` and return them as Kafka delivers them."""
    with transaction.atomic():
        for person in people:
            publish(BookLent(book=book, reader=person))
    return deliver(book)


def deliver(book: UUID | str) -> list[Delivery]:
    """Everything of the outbox about the book, as Kafka delivers it."""
    rows = Outbox.objects.filter(topic="test.library", key=str(book)).order_by("sequence")
    return [
        Delivery("test.library", 0, row.position, row.key, row.sequence, row.type, row.body.encode()) for row in rows
    ]


def test_events_are_applied_in_order_and_the_cursor_moves_with_them(readers: Readers) -> None:
    book = uuid4()
    readers.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    assert readers.cursor(book).last == 3


def test_a_duplicate_is_dropped_for_ever(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob")
    readers.consumer._park = None  # type: ignore[method-assign,assignment] # dropping is no failure
    readers.consumer.process([*deliveries, *deliveries])
    readers.consumer.process(deliveries[:1])
    readers.consumer.process(deliveries)
    assert readers.applied(book) == ["Ada", "Bob"]
    assert readers.cursor(book).last == 2


def test_a_known_event_without_a_handler_moves_the_cursor(readers: Readers) -> None:
    book = uuid4()
    with transaction.atomic():
        publish(BookReturned(book=book))
    readers.consumer.process(lend(book, "Ada"))
    assert readers.applied(book) == ["Ada"]
    assert readers.cursor(book).last == 2


def test_each_consumer_applies_for_itself(readers: Readers) -> None:
    book, other = uuid4(), Readers()
    other.consumer.name = "others"
    deliveries = lend(book, "Ada")
    for somebody in (readers, other):
        somebody.consumer.process(deliveries)
    assert readers.applied(book) == ["Ada", "Ada"]


def test_what_kafka_skipped_is_read_from_the_outbox(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo", "Dan")
    readers.consumer.process(deliveries[3:])
    assert readers.applied(book) == ["Ada", "Bob", "Cleo", "Dan"]
    readers.consumer.process(deliveries)
    assert readers.cursor(book).last == 4
    assert len(readers.applied(book)) == 4


def test_events_that_come_in_a_wrong_order_are_applied_in_the_right_one(readers: Readers) -> None:
    book = uuid4()
    readers.consumer.process(list(reversed(lend(book, "Ada", "Bob", "Cleo"))))
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]


def test_a_gap_that_nobody_can_fill_parks_the_key_and_keeps_it_parked(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo")
    readers.consumer.process(deliveries[:1])
    Outbox.objects.filter(key=str(book), sequence=2).delete()
    readers.consumer.process(deliveries[2:])
    parked = readers.cursor(book)
    assert parked.parked_at
    assert parked.reason == "MissingEvents: after sequence 1 Kafka delivered 3"
    assert readers.catch_up(book) is False
    still_parked = readers.cursor(book)
    assert (still_parked.parked_at, still_parked.last, still_parked.attempts) == (parked.parked_at, 1, 2)
    assert still_parked.reason == "MissingEvents: after sequence 1 of 3 the outbox holds nothing"
    assert readers.applied(book) == ["Ada"]


def test_a_gap_too_wide_for_one_batch_is_healed_when_the_key_is_redriven(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "MOST_HEALED", 5)
    book = uuid4()
    people = [f"reader {n}" for n in range(12)]
    readers.consumer.process(lend(book, *people)[-1:])
    assert readers.cursor(book).reason.startswith("MissingEvents")
    assert readers.catch_up(book) is True
    assert readers.applied(book) == people


def test_a_new_consumer_starts_at_the_floor_of_what_was_pruned(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo")
    Outbox.objects.filter(key=str(book), sequence__lte=2).delete()
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 2 where key = %s", [str(book)])
    readers.consumer.process(deliveries)
    assert readers.applied(book) == ["Cleo"]
    assert readers.cursor(book).last == 3


def test_an_unknown_type_waits_for_a_newer_consumer(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob")
    with monkeypatch.context() as patch:
        patch.setattr(consumer_module, "known_events", lambda: {})
        readers.consumer.process(deliveries)
        parked = readers.cursor(book)
        assert parked.reason == "UnknownEventType: unknown type 'BookLent.v1' in test.library"
        assert parked.parked_at and parked.next_try_at
        assert 55 < (parked.next_try_at - parked.parked_at).total_seconds() < 65
        for _ in range(10):  # far longer than an event that fails
            assert readers.catch_up(book) is False
        assert readers.cursor(book).next_try_at
    assert readers.catch_up(book) is True
    assert readers.applied(book) == ["Ada", "Bob"]


def test_a_type_of_another_topic_is_unknown_here(readers: Readers) -> None:
    readers.consumer.process([Delivery("test.library", 0, 1, "k", 1, "NoticePosted.v1", b"{}")])
    assert readers.cursor("k").reason == "UnknownEventType: unknown type 'NoticePosted.v1' in test.library"


@pytest.mark.parametrize(
    ("headers", "key", "words"),
    [
        ([], b"k", "it has no ce_type header"),
        ([("ce_type", b"BookLent.v1")], b"k", "its ce_sequence header is b'', not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"-1")], b"k", "not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"9" * 30)], b"k", "not a positive number"),
        ([("ce_type", b"\xff\0"), ("ce_sequence", b"one")], b"\xff\0k", "not a positive number"),
        ([("ce_type", b"BookLent.v1"), ("ce_sequence", b"1")], None, "it has no key"),
    ],
)
def test_an_unreadable_message_parks_its_key_and_waits_for_a_person(
    readers: Readers, headers: list[tuple[str, bytes]], key: bytes | None, words: str
) -> None:
    record = SimpleNamespace(topic="test.library", partition=3, offset=42, key=key, headers=headers, value=b"\0")
    readers.consumer.process([kafka._read(record)])
    parked = Cursor.objects.get()
    assert parked.reason.startswith("UnreadableMessage: unreadable message at test.library[3]@42: ")
    assert words in parked.reason
    assert parked.parked_at and parked.next_try_at is None
    assert find_due("readers") == []


@pytest.mark.parametrize("value", [b"", b"not json", b"[]", b"\xff", b'{"book": 1}', b"[" * 100_000])
def test_a_value_that_is_no_such_event_parks_its_key(readers: Readers, value: bytes) -> None:
    book = uuid4()
    (delivery,) = lend(book, "Ada")
    readers.consumer.process([replace(delivery, value=value)])
    assert readers.cursor(book).reason.startswith("UnableToDecodeEvent: not a BookLent.v1")
    assert readers.applied(book) == []
    assert readers.catch_up(book) is True  # the outbox has it as it was published
    assert readers.applied(book) == ["Ada"]


def test_an_event_that_belongs_to_another_key_parks_the_key_it_came_with(readers: Readers) -> None:
    book, other = uuid4(), uuid4()
    (delivery,) = lend(book, "Ada")
    readers.consumer.process([replace(delivery, key=str(other))])
    assert readers.cursor(other).reason == f"UnreadableMessage: the BookLent.v1 inside belongs to key '{book}'"
    assert readers.cursor(other).next_try_at is None
    assert readers.applied(book) == []


@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize("position", [0, 3, 6])
def test_a_failing_event_parks_its_key_and_all_others_apply(readers: Readers, size: int, position: int) -> None:
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


def test_what_comes_before_the_failing_event_of_a_key_stays_applied(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Bob"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    assert readers.applied(book) == ["Ada"]
    assert readers.cursor(book).last == 1


def test_successors_of_a_parked_key_wait_and_come_in_order(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    readers.consumer.process(lend(book, "Bob")[1:])
    readers.consumer.process(lend(book, "Cleo"))
    readers.failing.clear()
    readers.consumer.process(deliver(book))  # also what could be applied by now waits until the key is redriven
    assert readers.applied(book) == []
    assert readers.catch_up(book) is True
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    cursor = readers.cursor(book)
    assert (cursor.last, cursor.parked_at, cursor.reason, cursor.attempts, cursor.next_try_at) == (3, None, "", 0, None)
    readers.consumer.process(lend(book, "Dan"))
    assert readers.applied(book)[-1] == "Dan"


def test_a_key_that_keeps_failing_is_tried_ever_more_rarely_and_then_waits_for_a_person(readers: Readers) -> None:
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
    assert find_due("readers") == []
    readers.failing.clear()
    assert readers.catch_up(book) is True  # a person redrives it
    assert readers.applied(book) == ["Ada"]


def test_after_progress_the_pauses_start_anew(readers: Readers) -> None:
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


def test_only_keys_whose_time_has_come_are_due(readers: Readers) -> None:
    due, later, flowing = uuid4(), uuid4(), uuid4()
    readers.failing |= {due: ZeroDivisionError(), later: ZeroDivisionError()}
    for book in (due, later, flowing):
        readers.consumer.process(lend(book, "Ada"))
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp() where key = %s", [str(due)])
        cursor.execute("update relay_cursor set next_try_at = now() + interval '1 h' where key = %s", [str(later)])
    assert find_due("readers") == [("test.library", str(due))]
    assert find_due("others") == []


@pytest.mark.parametrize("error", [OperationalError("lock timeout"), InterfaceError("connection closed")])
def test_a_fault_of_the_database_is_raised_and_parks_nothing(readers: Readers, error: Exception) -> None:
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


def test_a_fault_of_the_database_while_redriving_is_raised_too(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    readers.failing["Ada"] = OperationalError("server closed the connection")
    with pytest.raises(OperationalError):
        readers.catch_up(book)
    assert readers.cursor(book).attempts == 1


@pytest.fixture
def together() -> Iterator[Callable[[Callable[[], object], int], None]]:
    """A function that runs something on several threads at once, each on a connection of its own."""

    def run(work: Callable[[], object], threads: int) -> None:
        barrier = threading.Barrier(threads)

        def run_alone() -> None:
            barrier.wait(30)
            try:
                work()
            finally:
                connection.close()

        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(run_alone) for _ in range(threads)]:
                future.result()

    yield run


@committed
def test_two_processes_with_the_same_batch_apply_each_event_once(
    readers: Readers, together: Callable[[Callable[[], object], int], None]
) -> None:
    """As in a rebalance: the one who had the partition is not yet done when the other one begins."""
    books = [uuid4() for _ in range(40)]
    batch = [delivery for book in books for delivery in lend(book, "Ada", "Bob")]
    together(lambda: readers.consumer.process(batch), 2)
    assert Counter(tuple(readers.applied(book)) for book in books) == {("Ada", "Bob"): 40}


@committed
def test_two_processes_that_redrive_the_same_key_apply_each_event_once(
    readers: Readers, together: Callable[[Callable[[], object], int], None]
) -> None:
    book = uuid4()
    people = [f"reader {n}" for n in range(30)]
    readers.failing[book] = ZeroDivisionError()
    readers.consumer.process(lend(book, *people))
    readers.failing.clear()
    together(lambda: readers.catch_up(book), 2)
    assert readers.applied(book) == people


def test_an_event_that_another_process_has_applied_meanwhile_does_not_park_its_key(readers: Readers) -> None:
    book = uuid4()
    batch = lend(book, "Ada")
    park = readers.consumer._park
    other = Readers()

    def be_overtaken(delivery: Delivery, error: Exception) -> None:
        other.consumer.process(batch)
        park(delivery, error)

    readers.failing["Ada"] = ZeroDivisionError()
    readers.consumer._park = be_overtaken  # type: ignore[method-assign]
    readers.consumer.process(batch)
    assert readers.cursor(book).parked_at is None
    assert readers.applied(book) == ["Ada"]


def make_delivery(key: str, sequence: int, topic: str = "test.library") -> Delivery:
    return Delivery(topic, 0, sequence, key, sequence, "BookReturned.v1", b"")


def test_a_batch_runs_in_waves_of_one_event_for_each_key_sorted() -> None:
    batch = [
        make_delivery("b", 1),
        make_delivery("b", 2),
        make_delivery("a", 7),
        make_delivery("b", 3),
        make_delivery("a", 8),
        make_delivery("z", 1, topic="test.a"),
    ]
    waves = [(delivery.topic, delivery.key, delivery.sequence) for delivery in in_waves(batch)]
    assert waves == [
        ("test.a", "z", 1),
        ("test.library", "a", 7),
        ("test.library", "b", 1),
        ("test.library", "a", 8),
        ("test.library", "b", 2),
        ("test.library", "b", 3),
    ]


@committed
def test_a_batch_is_one_transaction_unless_its_time_is_up(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "BATCH_SECONDS", 60)
    books = [uuid4() for _ in range(5)]
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    assert len(readers.transactions) == 5
    assert len(set(readers.transactions)) == 1
    readers.transactions.clear()
    monkeypatch.setattr(consumer_module, "BATCH_SECONDS", 0)
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Bob")])
    assert len(set(readers.transactions)) == 5
    assert all(readers.applied(book) == ["Ada", "Bob"] for book in books)


def test_reasons_that_the_database_can_not_hold_are_written_as_it_can(readers: Readers) -> None:
    book = uuid4()
    readers.failing["Ada"] = ValueError("\0 and \ud800 and " + "x" * 5000)
    readers.consumer.process(lend(book, "Ada"))
    reason = readers.cursor(book).reason
    assert reason.startswith(r"ValueError: \0 and \ud800 and xxx")
    assert len(reason) == 2000


def test_an_event_with_odd_characters_comes_as_it_was_published(readers: Readers) -> None:
    book = uuid4()
    name = "\0 \x7f \u2028 Ω 🙂 \\u0000"
    readers.consumer.process(lend(book, name))
    assert readers.applied(book) == [name]


def test_an_empty_batch_is_nothing(readers: Readers) -> None:
    readers.consumer.process([])
    assert not Cursor.objects.exists()


def test_a_consumer_listens_to_the_topics_of_its_events() -> None:
    consumer = Consumer("readers")
    assert consumer.topics == []
    consumer.on(NoticePosted)(lambda event: None)
    consumer.on(BookLent)(lambda event: None)
    consumer.on(BookReturned)(lambda event: None)
    assert consumer.topics == ["test.library", "test.notices"]


def test_every_handler_of_an_event_runs() -> None:
    calls: list[tuple[str, LibraryEvent]] = []
    consumer = Consumer("readers")
    consumer.on(BookLent)(lambda event: calls.append(("first", event)))
    consumer.on(BookLent)(lambda event: calls.append(("second", event)))
    consumer.process(lend(uuid4(), "Ada"))
    assert [name for name, _ in calls] == ["first", "second"]


def test_what_was_published_long_ago_and_never_came_is_found_and_healed(readers: Readers) -> None:
    lost, parked, fresh, done = (uuid4() for _ in range(4))
    for book in (lost, parked, fresh, done):
        lend(book, "Ada")
    readers.failing[parked] = ZeroDivisionError()
    readers.consumer.process(deliver(parked))
    readers.consumer.process(deliver(done))
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set published_at = now() - interval '10 min' where key <> %s", [str(fresh)])
        cursor.execute("update relay_outbox set published_at = now() where key = %s", [str(fresh)])
    behind = find_behind("readers", ["test.library"], seconds=120)
    assert behind == [("test.library", str(lost))]
    assert readers.consumer.catch_up(behind[0]) is True
    assert readers.applied(lost) == ["Ada"]
    assert find_behind("readers", ["test.library"], seconds=120) == []
