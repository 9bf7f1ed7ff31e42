"""The consumer without a broker: each event is applied once and in order, for any order of deliveries."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from relay import Consumer, publish
from relay.consumer import consumer as consumer_module
from relay.consumer.arrivals import read_delivery, split_into_waves
from relay.consumer.deliveries import Delivery
from relay.models import Cursor, Outbox
from tests.relay.events import BookLent, BookReturned, LibraryEvent, NoticePosted
from tests.relay.readers import Readers, deliver, lend

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)


def test_events_are_applied_in_order_and_the_cursor_moves_with_them(readers: Readers) -> None:
    book = uuid4()
    readers.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    assert readers.cursor(book).last == 3


def test_a_duplicate_is_dropped_for_ever(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob")
    readers.consumer._park = None  # type: ignore[method-assign,assignment] # a duplicate must not be treated as a failure
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


def test_each_consumer_has_its_own_cursors(readers: Readers) -> None:
    book, other = uuid4(), Readers()
    other.consumer.name = "others"
    deliveries = lend(book, "Ada")
    for somebody in (readers, other):
        somebody.consumer.process(deliveries)
    assert readers.applied(book) == ["Ada", "Ada"]


def test_events_that_kafka_skipped_are_read_from_the_outbox(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo", "Dan")
    readers.consumer.process(deliveries[3:])
    assert readers.applied(book) == ["Ada", "Bob", "Cleo", "Dan"]
    readers.consumer.process(deliveries)
    assert readers.cursor(book).last == 4
    assert len(readers.applied(book)) == 4


def test_events_delivered_in_a_wrong_order_are_applied_in_the_right_one(readers: Readers) -> None:
    book = uuid4()
    readers.consumer.process(list(reversed(lend(book, "Ada", "Bob", "Cleo"))))
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]


def test_a_new_consumer_starts_at_the_floor_of_pruned_events(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo")
    Outbox.objects.filter(key=str(book), sequence__lte=2).delete()
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 2 where key = %s", [str(book)])
    readers.consumer.process(deliveries)
    assert readers.applied(book) == ["Cleo"]
    assert readers.cursor(book).last == 3


@pytest.fixture
def together() -> Iterator[Callable[[Callable[[], object], int], None]]:
    """Return a function that runs a callable on several threads at once, each with its own connection."""

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
@pytest.mark.parametrize("people", [["Ada", "Bob"], ["Ada"]])
def test_two_processes_with_the_same_batch_apply_each_event_once(
    readers: Readers, together: Callable[[Callable[[], object], int], None], people: list[str]
) -> None:
    """As in a rebalance: the old member has not finished when the new member begins."""
    books = [uuid4() for _ in range(50)]
    batch = [delivery for book in books for delivery in lend(book, *people)]
    together(lambda: readers.consumer.process(batch), 2)
    assert Counter(tuple(readers.applied(book)) for book in books) == {tuple(people): 50}


def test_repeated_and_pruned_events_among_many_first_events_are_dropped(readers: Readers) -> None:
    books = [uuid4() for _ in range(50)]
    batch = [delivery for book in books for delivery in lend(book, "Ada")]
    applied, pruned = batch[:1], books[-1]
    readers.consumer.process(applied)
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = 1 where key = %s", [str(pruned)])
    readers.consumer.process(batch)
    assert Counter(tuple(readers.applied(book)) for book in books) == {("Ada",): 49, (): 1}
    assert not readers.applied(pruned)
    assert all(readers.cursor(book).last == 1 for book in books)


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


def make_delivery(key: str, sequence: int, topic: str = "test.library") -> Delivery:
    return Delivery(topic, 0, sequence, key, sequence, "BookReturned.v1", b"")


def test_a_batch_is_split_into_waves_of_one_event_per_key_sorted_by_key() -> None:
    batch = [
        make_delivery("b", 1),
        make_delivery("b", 2),
        make_delivery("a", 7),
        make_delivery("b", 3),
        make_delivery("a", 8),
        make_delivery("z", 1, topic="test.a"),
    ]
    waves = [
        [(*arrival.key, arrival.sequence) for arrival in wave] for wave in split_into_waves(map(read_delivery, batch))
    ]
    assert waves == [
        [("test.a", "z", 1), ("test.library", "a", 7), ("test.library", "b", 1)],
        [("test.library", "a", 8), ("test.library", "b", 2)],
        [("test.library", "b", 3)],
    ]


@committed
def test_a_batch_is_one_transaction_unless_it_takes_too_long(
    readers: Readers, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RELAY = {**settings.RELAY, "BATCH_SECONDS": 5}
    books = [uuid4() for _ in range(5)]
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Ada")])
    assert len(readers.transactions) == 5
    assert len(set(readers.transactions)) == 1
    readers.transactions.clear()
    settings.RELAY = {**settings.RELAY, "BATCH_SECONDS": 0.000_001}
    monkeypatch.setattr(consumer_module, "MIN_BATCH", 1)
    readers.consumer.process(lend(uuid4(), "Ada"))  # teaches the consumer that few events fit
    readers.transactions.clear()
    readers.consumer.process([delivery for book in books for delivery in lend(book, "Bob")])
    assert len(set(readers.transactions)) == 5
    assert all(readers.applied(book) == ["Ada", "Bob"] for book in books)


def test_an_event_with_odd_characters_arrives_unchanged(readers: Readers) -> None:
    book = uuid4()
    name = "\0 \x7f \u2028 Ω 🙂 \\u0000"
    readers.consumer.process(lend(book, name))
    assert readers.applied(book) == [name]


def test_an_empty_batch_does_nothing(readers: Readers) -> None:
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


def test_a_handler_of_many_gets_each_wave_in_one_call_without_two_events_of_a_key() -> None:
    calls: list[list[tuple[str, str]]] = []
    consumer = Consumer("readers")

    @consumer.on(BookLent, many=True)
    def note_loans(events: Sequence[BookLent]) -> None:
        calls.append([(event.key, event.reader) for event in events])

    a, b, c = sorted((uuid4() for _ in range(3)), key=str)
    batch = [*lend(b, "Ada", "Bob"), *lend(a, "Cleo"), *lend(c, "Dan", "Eve", "Fay")]
    consumer.process(batch)
    consumer.process(batch)
    assert calls == [
        [(str(a), "Cleo"), (str(b), "Ada"), (str(c), "Dan")],
        [(str(b), "Bob"), (str(c), "Eve")],
        [(str(c), "Fay")],
    ]


def test_skipped_events_reach_a_handler_of_many_one_by_one_and_first() -> None:
    calls: list[list[str]] = []
    consumer = Consumer("readers")
    consumer.on(BookLent, many=True)(lambda events: calls.append([event.reader for event in events]))
    a, b = sorted((uuid4() for _ in range(2)), key=str)
    consumer.process([lend(a, "Ada", "Bob", "Cleo")[2], *lend(b, "Dan")])
    assert calls == [["Ada"], ["Bob"], ["Cleo", "Dan"]]


def test_a_handler_of_several_classes_gets_their_events_in_one_call_and_transaction(readers: Readers) -> None:
    calls: list[list[str]] = []
    consumer = Consumer("readers")

    @consumer.on(BookLent, BookReturned, many=True)
    def note(events: Sequence[LibraryEvent]) -> None:
        calls.append([type(event).__name__ for event in events])

    @consumer.on(BookReturned, many=True)
    def note_returns(events: Sequence[BookReturned]) -> None:
        calls.append([f"again {type(event).__name__}" for event in events])

    lent, returned = sorted((uuid4(), uuid4()), key=str)
    with transaction.atomic():
        publish(BookReturned(book=returned))
    consumer.process([*deliver(returned), *lend(lent, "Ada")])
    assert calls == [["BookLent", "BookReturned"], ["again BookReturned"]]
    assert consumer.figures["batches"] == 1


def test_events_without_a_handler_share_the_transaction_of_the_others_and_unreadable_ones_do_not() -> None:
    calls: list[str] = []
    consumer = Consumer("readers")
    consumer.on(BookLent, many=True)(lambda events: calls.extend(event.reader for event in events))
    returned, unreadable = uuid4(), lend(uuid4(), "Bob")[0]._replace(value=b"no JSON")
    with transaction.atomic():
        publish(BookReturned(book=returned))
    arrivals = map(read_delivery, [*deliver(returned), *lend(uuid4(), "Ada"), unreadable])
    runs = consumer.arrange(arrivals)
    assert [len(run.arrivals) for run in runs] == [1, 2]
    consumer.apply(runs[1:])
    assert calls == ["Ada"] and consumer.figures["batches"] == 1
    assert Cursor.objects.filter(last=1).count() == 2


def test_events_that_follow_their_cursors_need_one_statement(
    readers: Readers, django_assert_num_queries: Callable[..., Any]
) -> None:
    consumer = Consumer("readers")
    consumer.on(BookLent, many=True)(lambda events: None)
    old, new = uuid4(), uuid4()
    consumer.process(lend(old, "Ada"))
    deliveries = [*lend(old, "Bob")[1:], *lend(new, "Cleo")]
    with django_assert_num_queries(3):  # savepoint, cursors, release of the savepoint
        consumer.process(deliveries)
    assert consumer.figures["applied"] == 3
    assert {readers.cursor(book).last for book in (old, new)} == {1, 2}


def test_a_transaction_contains_as_many_events_as_its_time_allows() -> None:
    sizer = consumer_module.BatchSizer()
    for _ in range(10):
        sizer.learn(sizer.size, sizer.size * 0.0002)  # 0.2 ms each: 1,000 fit into 200 ms
    assert sizer.size == 1000
    sizer.learn(3, 0.0003)  # a batch that is not full does not change the size
    assert sizer.size == 1000
    sizer.learn(1000, 4.0)
    assert sizer.size == 50
