"""Events that Kafka has lost are applied from the outbox, also while other events flow and without slowing them."""

import os
import random
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from relay.consumer import sweep as sweep_module
from relay.consumer.deliveries import Delivery, Place
from relay.consumer.receiver import Receiver
from relay.consumer.sweep import Sweep, read_lost
from relay.models import Cursor, Outbox, Settled
from relay.publisher.outbox import hash_key
from tests.relay.operated import set_low_watermark
from tests.relay.readers import Readers, deliver, lend

pytestmark = pytest.mark.django_db
ALL = [Place("test.library", 0, 1)]


def publish_earlier(minutes: int = 10) -> None:
    """Let all events be published `minutes` ago."""
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set published_at = now() - make_interval(mins => %s)", [minutes])


def make_sweep(readers: Readers) -> Any:
    return Sweep(readers.consumer)


def test_an_event_that_never_arrived_is_found_and_healed(readers: Readers) -> None:
    lost, parked, fresh, done, waits = (uuid4() for _ in range(5))
    for book in (lost, parked, fresh, done, waits):
        lend(book, "Ada")
    readers.failing[parked] = ZeroDivisionError()
    readers.consumer.process(deliver(parked))
    readers.consumer.process(deliver(done))
    publish_earlier()
    Outbox.objects.filter(key=str(fresh)).update(published_at="2999-01-01T00:00Z")
    Outbox.objects.filter(key=str(waits)).update(published_at=None)
    assert make_sweep(readers).run(ALL) == 1
    assert [readers.applied(book) for book in (lost, parked, fresh, done, waits)] == [["Ada"], [], [], ["Ada"], []]
    assert make_sweep(readers).run(ALL) == 0


def test_the_events_of_a_key_are_healed_in_order_and_a_failing_one_parks_its_key(readers: Readers) -> None:
    book, failing = uuid4(), uuid4()
    lend(book, "Ada", "Bob", "Cleo")
    lend(failing, "Dan", "Eve", "Fay")
    publish_earlier()
    readers.failing["Eve"] = ZeroDivisionError()
    make_sweep(readers).run(ALL)
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    assert readers.applied(failing) == ["Dan"]
    assert (readers.cursor(failing).last, readers.cursor(failing).parked_at is not None) == (1, True)


def test_a_process_heals_only_its_own_partitions_which_it_has_polled_to_the_end(readers: Readers) -> None:
    books = [next(book for book in iter(uuid4, None) if hash_key(str(book)) % 3 == number) for number in range(3)]
    for book in books:
        lend(book, "Ada")
    publish_earlier()
    assert make_sweep(readers).run([]) == 0
    assert make_sweep(readers).run([Place("test.notices", 1, 3)]) == 0
    assert make_sweep(readers).run([Place("test.library", 1, 3), Place("test.library", 2, 3)]) == 2
    assert [readers.applied(book) for book in books] == [[], ["Ada"], ["Ada"]]


def test_pages_are_read_until_the_end_and_the_watermark_follows_what_is_applied(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.consumer.watermarks.WATERMARK_STEP", 1)
    monkeypatch.setattr(sweep_module, "PAGE_ROWS", 4)
    first = [uuid4() for _ in range(5)]
    for book in first:
        readers.consumer.process(lend(book, "Ada"))  # two rows: the cause, and the notice of the reader
    lost = lend(uuid4(), "Bob")
    readers.consumer.process(lend(uuid4(), "Cleo"))
    publish_earlier()
    set_low_watermark(Outbox.objects.latest("position").position)
    sweep = make_sweep(readers)
    healed = list[int]()
    while not healed or sweep._walk:
        assert len(healed) < 9
        healed.append(sweep.run(ALL))
    assert sum(healed) == 1
    assert len(healed) == 4
    assert Settled.objects.get().position == lost[0].offset - 1
    make_sweep(readers).run(ALL)
    assert Settled.objects.get().position >= Outbox.objects.filter(topic="test.library").latest("position").position - 4


def test_a_watermark_that_a_rebuild_deletes_during_a_page_is_not_written(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.consumer.watermarks.WATERMARK_STEP", 1)
    monkeypatch.setattr(sweep_module, "PAGE_ROWS", 1)
    readers.consumer.process(lend(uuid4(), "Ada"))
    publish_earlier()
    set_low_watermark(Outbox.objects.latest("position").position)

    def rebuild_after_the_page(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if "with page" in sql:
            Settled.objects.all().delete()
        return result

    sweep = make_sweep(readers)
    with connection.execute_wrapper(rebuild_after_the_page):
        sweep.run(ALL)
    assert not Settled.objects.exists()
    assert sweep._walk is None, "it starts again from the watermarks"


class Traffic:
    """A source that always has new events, but never the lost ones."""

    def __init__(self, readers: Readers) -> None:
        self.readers = readers
        self.books: list[UUID] = []

    def poll(self, *, seconds: float, records: int) -> list[Delivery]:
        self.books.append(uuid4())
        return lend(self.books[-1], "Cleo")

    def commit(self, deliveries: list[Delivery]) -> None:
        pass

    def set_paused(self, paused: bool) -> None:
        pass

    def find_polled(self) -> list[Place]:
        return ALL


@pytest.mark.parametrize("keys", [300, pytest.param(12_000, marks=pytest.mark.long)])
def test_lost_events_are_healed_page_after_page_while_other_events_flow(
    readers: Readers, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(int(os.environ["SEED"]))
    page = max(20, keys // 24)
    monkeypatch.setattr(sweep_module, "PAGE_LOST", page)
    monkeypatch.setattr("relay.consumer.sweep.SWEEP_SECONDS", 0.0)
    books = [uuid4() for _ in range(keys)]
    for book in books:
        deliveries = lend(book, *"AB"[: draw.choice((1, 2))])
        readers.consumer.process(deliveries[: draw.choice((0, 0, 0, 1, 2))])
    lost = sum(delivery.sequence > last for delivery, last in read_missing())
    publish_earlier()
    receiver: Any = Receiver(readers.consumer)
    monkeypatch.setattr("relay.consumer.sweep.SWEEP_SECONDS", 1e9)  # only full pages are followed by a page
    monkeypatch.setattr(receiver, "_keep_pace", lambda *_: None)
    traffic, rounds = Traffic(readers), 0
    while Cursor.objects.filter(last=0).exists() or any(read_lost(readers.consumer, seconds=1)):
        receiver._round(traffic, Event())
        rounds += 1
        assert rounds <= lost // page + 2
    assert lost > keys // 2
    assert all(readers.applied(book) in (["A"], ["A", "B"]) for book in books)
    assert all(readers.applied(book) == ["Cleo"] for book in traffic.books), "no event waits for the sweep"


def read_missing() -> list[tuple[Outbox, int]]:
    """Return each event of the library with the last applied sequence number of its key."""
    last = {cursor.key: cursor.last for cursor in Cursor.objects.filter(topic="test.library")}
    return [(row, last.get(row.key, 0)) for row in Outbox.objects.filter(topic="test.library")]
