"""The threads of a consumer's process: one polls ahead while the other one waits for the database."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction

from relay import consumer as consumer_module
from relay import receiver as receiver_module
from relay.arrival import take_delivery
from relay.consumer import Consumer
from relay.kafka import Delivery
from relay.models import Cursor
from relay.receiver import PORTION, Batch, Receiver
from tests.relay.events import BookLent, BookReturned
from tests.relay.readers import Readers, lend

pytestmark = pytest.mark.django_db(transaction=True)


class Shelf:
    """A source of so many records at each poll, and none afterwards. It notes for how long it might have waited."""

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
def test_a_batch_is_polled_in_portions_until_no_more_is_there_or_it_is_full(
    monkeypatch: pytest.MonkeyPatch, portions: list[int], polled: int
) -> None:
    monkeypatch.setattr(receiver_module, "PORTION", 10)
    monkeypatch.setattr(receiver_module, "BATCH_RECORDS", 40)
    shelf = Shelf(portions)
    batch: Batch = make_receiver(Consumer("readers"))._poll(shelf)
    assert [delivery.offset for delivery in batch.deliveries] == [
        n for n in range(1, polled + 1) for _ in range(portions[n - 1])
    ]
    assert sum(len(run.arrivals) for run in batch.runs) == len(batch.deliveries) == sum(portions[:polled])
    assert shelf.waits[0] > 0
    assert shelf.waits[1:] == [0] * (polled - 1), "what is there is not held up by waiting for more"


def test_a_batch_of_large_events_is_full_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf([PORTION] * 9)
    size = len(BookReturned(book=uuid4()).encode())
    monkeypatch.setattr(receiver_module, "BATCH_BYTES", 2 * PORTION * size + 1)
    assert len(make_receiver(Consumer("readers"))._poll(shelf).deliveries) == 3 * PORTION


def test_the_next_batch_is_polled_while_the_database_works_and_not_while_a_handler_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver_module, "BATCH_RECORDS", 1_000_000)
    monkeypatch.setattr(receiver_module, "TURN_SECONDS", 5)
    doing, polled = ["nothing"], Counter[str]()
    consumer = Consumer("readers")

    @consumer.on(BookLent)
    def handle(event: BookLent) -> None:
        for _ in range(5):
            doing[0] = "handling"
            time.sleep(0.1)
            doing[0] = "waiting"
            with connection.cursor() as cursor:
                cursor.execute("select pg_sleep(0.1)")
        doing[0] = "handled"

    def watch() -> Iterator[int]:
        while doing[0] != "handled":
            polled[doing[0]] += 1
            time.sleep(0.002)
            yield PORTION

    deliveries, shelf = lend(uuid4(), "Ada"), Shelf(watch())
    batch = Batch(deliveries, consumer.arrange(map(take_delivery, deliveries)))
    make_receiver(consumer)._process_and_poll(batch, shelf, Event())
    assert shelf.committed == deliveries
    assert polled["waiting"] > 20
    assert polled["handling"] <= 5, "one, at most, that had begun each time"


def park_a_key(readers: Readers) -> None:
    """Park the second of three events of a book, due again at once."""
    readers.failing["Bob"] = ZeroDivisionError()
    readers.consumer.process(lend(uuid4(), "Ada", "Bob", "Cleo"))
    readers.failing.clear()
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp()")


def test_a_parked_key_that_somebody_else_has_locked_is_left_for_another_time(
    library_events: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_LIMIT_WAITING", "select set_config('lock_timeout', '100ms', true)")
    readers = Readers()
    park_a_key(readers)
    receiver, locked, may_end = make_receiver(readers.consumer), Event(), Event()

    def hold_the_lock() -> None:
        with transaction.atomic():
            Cursor.objects.select_for_update().get()
            locked.set()
            may_end.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold_the_lock)
        assert locked.wait(10)
        key = Cursor.objects.values_list("topic", "key").get()
        monkeypatch.setattr(receiver_module, "take_due", lambda name: [key])
        receiver._tend(Event(), idle=False)
        may_end.set()
        holding.result()
    assert Cursor.objects.get().attempts == 1
    receiver._retry_at = 0.0
    receiver._tend(Event(), idle=False)
    assert (Cursor.objects.get().parked_at, Cursor.objects.get().last) == (None, 3)
