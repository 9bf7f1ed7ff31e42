"""With the real broker: a paused consumer stays in its group, sends heartbeats, and continues where it stopped."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from django.db import connection

from relay import Consumer
from relay.consumer import subscription
from relay.consumer.breaker import WINDOW
from relay.consumer.receiver import Receiver
from relay.models import ConsumerState, Cursor, Heartbeat
from relay.operations import cluster
from relay.publisher.topics import known_topics
from tests.relay.events import BookLent
from tests.relay.forwarding import send_to_kafka
from tests.relay.readers import Readers, deliver, lend

pytestmark = [pytest.mark.usefixtures("parts"), pytest.mark.django_db(transaction=True)]


def wait_until(condition: Callable[[], object], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@contextmanager
def receiving(consumer: Consumer) -> Iterator[None]:
    """Run the consumer on its own thread, in a new group."""
    consumer.name = f"readers-{uuid4()}"
    stopping = threading.Event()

    def run() -> None:
        Receiver(consumer).run(stopping)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def running(readers: Readers) -> Iterator[Readers]:
    """The readers, running."""
    cluster.create_topics([*known_topics(), "relay.canary"])
    with receiving(readers.consumer):
        yield readers


def watch_rounds(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that gets one entry for each round of the consumer: whether the consumer may run."""
    rounds: list[bool] = []
    breaker = consumer.breaker
    assert breaker
    may_run = breaker.may_run

    def look() -> bool:
        rounds.append(may_run())
        return rounds[-1]

    monkeypatch.setattr(breaker, "may_run", look)
    return rounds


def send(book: UUID, *people: str) -> None:
    """Publish events about a new book and send them to Kafka as a relay does."""
    lend(book, *people)
    send_to_kafka(deliver(book))


def test_a_paused_consumer_applies_nothing_beats_and_continues_where_it_stopped(
    running: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = uuid4(), uuid4()
    send(first, "Ada", "Bob")
    assert wait_until(lambda: running.applied(first) == ["Ada", "Bob"])
    name = running.consumer.name
    ConsumerState.objects.create(consumer=name, paused_at="2026-01-01T00:00Z", paused_by="ada", reason="stocktaking")
    rounds = watch_rounds(running.consumer, monkeypatch)
    assert wait_until(lambda: False in rounds)
    send(second, "Ada", "Bob")
    # A second consumer, which is not paused, gets both events: Kafka has delivered them.
    sibling, handled = Consumer("sibling"), list[str]()
    sibling.on(BookLent)(lambda event: handled.append(event.reader) if event.book == second else None)
    with receiving(sibling):
        assert wait_until(lambda: handled == ["Ada", "Bob"])
    seen, beaten_at = len(rounds), Heartbeat.objects.get(name=name).at
    # The paused consumer has polled and sent a heartbeat since then.
    assert wait_until(lambda: len(rounds) > seen + 2 and Heartbeat.objects.get(name=name).at > beaten_at)
    assert running.applied(second) == []
    assert not any(rounds[rounds.index(False) :])
    ConsumerState.objects.update(paused_at=None)
    assert wait_until(lambda: running.applied(second) == ["Ada", "Bob"])


def test_the_breaker_keeps_events_that_it_did_not_park_and_continues_with_them(
    running: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.consumer.breaker.SHORTEST_SECONDS", 0.5)
    books = [uuid4() for _ in range(40)]
    running.failing |= dict.fromkeys(books, ZeroDivisionError("bad deploy"))
    for book in books:
        lend(book, "Ada")
    for book in books:
        send_to_kafka(deliver(book))
    assert wait_until(lambda: ConsumerState.objects.filter(paused_by="circuit breaker").exists())
    parked = Cursor.objects.filter(key__in=[str(book) for book in books]).exclude(parked_at=None)
    # The topic contains events of other tests too, so the window may have been full when half of it failed.
    assert parked.count() <= WINDOW / 2
    running.failing.clear()
    assert wait_until(lambda: all(running.applied(book) == ["Ada"] for book in books))
    assert not parked.exists()
    assert not ConsumerState.objects.exclude(paused_at=None).exists()


def test_a_static_member_gets_its_partitions_back(readers: Readers) -> None:
    cluster.create_topics(known_topics())
    group = f"readers-{uuid4()}"
    member = subscription.Subscription(group, ["test.library"], instance="one")
    assert wait_until(lambda: member.poll(seconds=0.25) is not None and member._consumer.assignment())
    before, began = member._consumer.assignment(), time.monotonic()
    member.close()
    member = subscription.Subscription(group, ["test.library"], instance="one")
    assert wait_until(lambda: member.poll(seconds=0.1) is not None and member._consumer.assignment() == before)
    assert time.monotonic() - began < subscription.SESSION_SECONDS / 2
    member.close()
