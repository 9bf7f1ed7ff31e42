"""The receiver's threads and rounds: polling ahead, the size of batches, the pace and redrives."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from relay import Consumer
from relay.consumer import consumer as consumer_module
from relay.consumer import cursors
from relay.consumer import receiver as receiver_module
from relay.consumer.arrivals import read_delivery
from relay.consumer.deliveries import Delivery, Place
from relay.consumer.receiver import CHUNK, Batch, Receiver
from relay.models import Cursor
from tests.relay.events import BookLent, BookReturned
from tests.relay.readers import Readers, lend

pytestmark = pytest.mark.django_db(transaction=True)


class Shelf:
    """A source that returns the given numbers of records, then none. It records the longest waits of its polls."""

    def __init__(self, portions: Iterable[int]) -> None:
        self.portions = iter(portions)
        self.waits: list[float] = []
        self.committed: list[Delivery] = []

    def poll(self, *, seconds: float, records: int) -> list[Delivery]:
        self.waits.append(seconds)
        event = BookReturned(book=uuid4())
        return [
            Delivery(event.topic, 0, len(self.waits), event.key, number, event.type_name(), event.encode())
            for number in range(1, next(self.portions, 0) + 1)
        ]

    def commit(self, deliveries: list[Delivery]) -> None:
        self.committed += deliveries


def make_receiver(consumer: Consumer) -> Any:
    return Receiver(consumer)


@pytest.mark.parametrize(
    ("portions", "polled"), [([0], 1), ([7, 3], 1), ([10, 10, 3, 10], 3), ([10, 0, 10], 2), ([10] * 9, 4)]
)
def test_a_batch_is_polled_in_chunks_until_the_source_is_empty_or_the_batch_is_full(
    monkeypatch: pytest.MonkeyPatch, portions: list[int], polled: int
) -> None:
    monkeypatch.setattr(receiver_module, "CHUNK", 10)
    monkeypatch.setattr(receiver_module, "BATCH_RECORDS", 40)
    shelf = Shelf(portions)
    batch: Batch = make_receiver(Consumer("readers"))._poll(shelf)
    assert [delivery.offset for delivery in batch.deliveries] == [
        n for n in range(1, polled + 1) for _ in range(portions[n - 1])
    ]
    assert sum(len(run.arrivals) for run in batch.runs) == len(batch.deliveries) == sum(portions[:polled])
    assert shelf.waits[0] > 0
    assert shelf.waits[1:] == [0] * (polled - 1), "what is there is not held up by waiting for more"


def test_a_batch_of_large_events_has_fewer_events(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf([CHUNK] * 9)
    size = len(BookReturned(book=uuid4()).encode())
    monkeypatch.setattr(receiver_module, "BATCH_BYTES", 2 * CHUNK * size + 1)
    assert len(make_receiver(Consumer("readers"))._poll(shelf).deliveries) == 3 * CHUNK


def test_only_a_large_batch_makes_the_receiver_poll_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer("readers")
    polled: list[bool] = []

    @consumer.on(BookLent, many=True)
    def handle(events: Sequence[BookLent]) -> None:
        deadline = time.monotonic() + 10
        while len(events) == CHUNK and not shelf.waits and time.monotonic() < deadline:
            time.sleep(0.005)
        polled.append(bool(shelf.waits))

    monkeypatch.setattr(consumer_module, "MIN_BATCH", CHUNK)  # one call for all events
    for records in (CHUNK, CHUNK - 1):
        shelf = Shelf([])
        deliveries = [delivery for _ in range(records) for delivery in lend(uuid4(), "Ada")]
        batch = Batch(deliveries, consumer.arrange(map(read_delivery, deliveries)))
        make_receiver(consumer)._process_and_poll(batch, shelf, Event())
        assert shelf.committed == deliveries
    assert polled == [True, False]


class Rounds(Shelf):
    """A source that stops the receiver at the last chunk."""

    def __init__(self, portions: Sequence[int], stopping: Event) -> None:
        super().__init__(portions)
        self.left, self.stopping = len(portions), stopping

    def poll(self, *, seconds: float, records: int) -> list[Delivery]:
        self.left -= 1
        if self.left <= 0:
            self.stopping.set()
        return super().poll(seconds=seconds, records=records)

    def set_paused(self, paused: bool) -> None:
        pass

    def find_polled(self) -> list[Place]:
        return [Place("test.library", 0, 1)]


class Pauses(Event):
    """Records the pauses between rounds, in seconds, and takes none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.asked.append(timeout)
        return self.is_set()


@pytest.mark.parametrize(("records", "paced"), [(1, True), (CHUNK, False)])
def test_rounds_keep_their_pace_while_few_events_arrive(settings: Settings, records: int, paced: bool) -> None:
    settings.RELAY = {**settings.RELAY, "FOREIGN_TOPICS": ["test.library"]}  # the outbox does not have these events
    stopping, pauses = Event(), Pauses()
    rounds = Rounds([records] * 4, stopping)
    receiver = make_receiver(Consumer("readers", pace_ms=60_000))
    while not stopping.is_set():
        receiver._round(rounds, pauses)
    # Each pause ends a minute after the beginning of the round, or later if the round was long.
    assert [0 < seconds <= 120 for seconds in pauses.asked] == ([True] * 4 if paced else [])


def park_a_key(readers: Readers) -> None:
    """Park the second of three events of a book, and make it due at once."""
    readers.failing["Bob"] = ZeroDivisionError()
    readers.consumer.process(lend(uuid4(), "Ada", "Bob", "Cleo"))
    readers.failing.clear()
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp()")


def test_a_parked_key_that_another_transaction_has_locked_is_retried_later(
    library_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "LOCK_TIMEOUT", "100ms")
    readers = Readers()
    park_a_key(readers)
    receiver, locked, may_end = make_receiver(readers.consumer), Event(), Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            Cursor.objects.select_for_update().get()
            locked.set()
            may_end.wait(60)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold_the_lock)
        assert locked.wait(60)
        key = Cursor.objects.values_list("topic", "key").get()
        monkeypatch.setattr(receiver_module, "take_parked", lambda name: [key])
        receiver._breaker.has_due_keys = True
        receiver._redrive(Event())
        may_end.set()
        holding.result()
    assert Cursor.objects.get().attempts == 1
    receiver._breaker.has_due_keys = True
    receiver._redrive(Event())
    assert (Cursor.objects.get().parked_at, Cursor.objects.get().last) == (None, 3)
