"""Seconds until a consumer has applied events that Kafka has lost, while other events flow.

    python -m benchmarks.healing [--events 12000] [--rate 50] [--use-running] [--json]

The benchmark starts a separate PostgreSQL and Kafka, a relay and a receiver. The lost events are in the outbox, each of
another key, and marked as published, but not in Kafka. The others go through relay and Kafka at `--rate` events per
second. The time counts from the loss, and includes the time after which an event counts as lost. The delays of the
other events, from publish() to the handler, are measured before the loss and during the healing.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from benchmarks.stage import add_options, prepare

LIMIT_SECONDS = 180.0

_LOSE = """
with event as (select gen_random_uuid()::text as key, now() as at from generate_series(1, %(count)s)),
stream as (insert into relay_stream (topic, key, last) select 'test.library', key, 1 from event)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, published_at)
select 'test.library', key, abs(hashtext(key)), 1, id, 'BookLent.v1', at,
       json_build_object('event_id', id, 'occurred_at', at, 'book', key, 'reader', 'lost')::text, at
from (select *, gen_random_uuid() as id from event) event
"""


class Reader:
    """A consumer that records the delays of events, and the number of healed ones."""

    def __init__(self) -> None:
        from relay import Consumer
        from tests.relay.events import BookLent

        self.consumer = Consumer("healing")
        self.consumer.on(BookLent, many=True)(self.handle)
        self.sent: dict[UUID, float] = {}
        self.delays: list[float] = []
        self.healed = 0

    def handle(self, events: Any) -> None:
        """Record the delay of each event."""
        now = time.monotonic()
        for event in events:
            if event.reader == "lost":
                self.healed += 1
            elif event.book in self.sent:
                self.delays.append(now - self.sent[event.book])


def flow(reader: Reader, rate: float, is_done: Callable[[], bool]) -> list[float]:
    """Publish `rate` events per second until `is_done`; return their delays in milliseconds."""
    from django.db import transaction

    from relay import publish
    from tests.relay.events import BookLent

    reader.delays.clear()
    due = time.monotonic()
    while not is_done():
        event = BookLent(book=uuid4())
        reader.sent[event.book] = time.monotonic()
        with transaction.atomic():
            publish(event)
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))
    return [delay * 1000 for delay in reader.delays]


def measure(reader: Reader, events: int, rate: float) -> dict[str, float]:
    """Let the events flow for 20 s, lose `events`, and return the figures."""
    from django.db import connection

    steady_end = time.monotonic() + 20
    before = flow(reader, rate, lambda: time.monotonic() > steady_end)
    with connection.cursor() as cursor:
        cursor.execute(_LOSE, {"count": events})
    began = time.monotonic()
    during = flow(reader, rate, lambda: reader.healed >= events or time.monotonic() - began > 2 * LIMIT_SECONDS)
    figures = {"healed": float(reader.healed), "seconds": time.monotonic() - began, "limit": LIMIT_SECONDS}
    for name, delays in [("before", before), ("during", during)]:
        cuts = statistics.quantiles(delays, n=100)
        figures |= {f"{name}_p50_ms": cuts[49], f"{name}_p99_ms": cuts[98]}
    return figures | {"page_ms": measure_page(reader)}


def measure_page(reader: Reader) -> float:
    """Return the milliseconds of a page of the sweep in which every event is applied: the usual case."""
    from relay.consumer.deliveries import Place
    from relay.consumer.sweep import read_page

    times = []
    for _ in range(9):
        began = time.perf_counter()
        page = read_page(reader.consumer, 0, {"test.library": 0}, [Place("test.library", 0, 1)], seconds=60)
        times.append(time.perf_counter() - began)
        assert not page.lost
    return statistics.median(times) * 1000


def serve(work: Callable[[threading.Event], None], stopping: threading.Event) -> threading.Thread:
    """Run `work` on a thread until `stopping` is set."""
    from django.db import connection

    def run() -> None:
        work(stopping)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_options(parser)
    parser.add_argument("--events", type=int, default=12_000)
    parser.add_argument("--rate", type=float, default=50.0)
    options = parser.parse_args()
    with prepare(use_running=options.use_running):
        from django.conf import settings

        from relay.consumer.receiver import Receiver
        from relay.forwarder.forwarder import Forwarder
        from relay.operations.cluster import create_topics
        from relay.publisher.topics import known_events

        settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.relay.events"]}
        known_events.cache_clear()
        create_topics(["test.library", "relay.canary"])
        reader, stopping = Reader(), threading.Event()
        threads = [serve(Receiver(reader.consumer).run, stopping), serve(Forwarder().run, stopping)]
        try:
            figures = measure(reader, options.events, options.rate)
        finally:
            stopping.set()
            for thread in threads:
                thread.join(20)
    if options.json:
        print(json.dumps({"benchmark": "healing", **figures}))
    else:
        print("\n".join(f"{name:<14} {value:10,.1f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
