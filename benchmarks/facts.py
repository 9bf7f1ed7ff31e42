"""Events per second of analytics: the consumer with all facts, the recount, and the delay until a row is readable.

    python -m benchmarks.facts [--events 42000] [--runs 3] [--json]

The benchmark starts a separate PostgreSQL and Kafka. The outbox gets visits with orders, a relay forwards them, and the
real receiver of analytics consumes them: in batches, and one event per transaction for comparison. The recount then
compares all tables with the outbox. For the delay, product views are committed at 500 per second while a relay and a
consumer run as processes; a reader polls for the row of each view.
"""

import argparse
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from benchmarks.stage import running
from benchmarks.traffic import make_events

# One event per transaction is slow, so this measurement uses a part of the events.
SAMPLE = 20
PER_SECOND, SECONDS = 500, 12


def fill_topics(count: int) -> int:
    """Publish about `count` events and let a relay forward them. Return their number."""
    from django.db import transaction

    from relay.forwarder.forwarder import Forwarder
    from relay.models import Outbox
    from relay.publisher.outbox import publish_many

    events = make_events(count, datetime(2026, 5, 4, 12, tzinfo=UTC))
    for start in range(0, len(events), 5000):
        with transaction.atomic():
            publish_many(events[start : start + 5000])
    forwarder = Forwarder()
    while Outbox.objects.filter(published_at=None).exists():
        forwarder.forward_round()
    forwarder.stop()
    return len(events)


def empty_facts() -> None:
    """Delete the rows and cursors of the last run."""
    from django.db import connection

    from analytics.generation import TABLES

    with connection.cursor() as cursor:
        cursor.execute(f"truncate relay_cursor, {', '.join(TABLES.values())}")
        cursor.execute("vacuum analyze relay_outbox")
        cursor.execute("checkpoint")


def measure_consumer(count: int, *, one_by_one: bool = False) -> tuple[float, Any]:
    """Return the events per second of the receiver, and its generation. The clock begins with the first batch."""
    from analytics.facts.consumer import declare_consumer
    from analytics.generation import Generation
    from relay.consumer.arrivals import read_delivery
    from relay.consumer.receiver import Batch, Receiver

    empty_facts()
    generation = Generation(f"analytics-{uuid4().hex[:4]}", "public")
    consumer, stopping = declare_consumer(generation), threading.Event()

    def alone(delivery: Any) -> Batch:
        return Batch([delivery], consumer.arrange([read_delivery(delivery)]))

    class Measured(Receiver):
        seen, began, ended = 0, 0.0, 0.0

        def _process(self, batch: Batch, stopping: threading.Event) -> bool:
            self.began = self.began or time.monotonic()
            for part in map(alone, batch.deliveries) if one_by_one else [batch]:
                assert super()._process(part, stopping)
                self.seen += len(part.deliveries)
                if self.seen >= count:
                    self.ended = time.monotonic()
                    stopping.set()
                    break
            return True

    receiver = Measured(consumer)
    receiver.run(stopping)
    return receiver.seen / (receiver.ended - receiver.began), generation


def measure_recount(generation: Any) -> float:
    """Return the events per second of the recount, which must find no difference."""
    from django.db import connection

    from analytics.recount.comparison import recount
    from analytics.sessions import compute_sessions

    compute_sessions(generation)
    with connection.cursor() as cursor:
        cursor.execute("set enable_nestloop = off; set work_mem = '64MB'")  # as verify does
        began = time.monotonic()
        found = recount(generation)
        seconds = time.monotonic() - began
        cursor.execute("reset enable_nestloop; reset work_mem")
    assert not found.differences, found.differences[:3]
    return found.events / seconds


def measure_rebuild() -> float:
    """Return the events per second of a rebuild, which fills a second generation next to the current one."""
    from analytics.generation import NEXT, SCHEMAS, Generation, create_tables, drop_tables
    from analytics.handlers import consumer
    from analytics.models import GenerationChoice
    from analytics.rebuild.filler import Filler
    from relay.operations.replay import Span, replay

    empty_facts()
    replay(consumer, Span(), actor="benchmark")
    other = Generation(NEXT, SCHEMAS[1])
    create_tables(other)
    choice, began = GenerationChoice.objects.create(other=other.schema), time.monotonic()
    for _ in Filler(other).walk(choice):
        pass
    seconds = time.monotonic() - began
    choice.delete()
    drop_tables(other)
    return choice.events / seconds


def run_apart(run: Callable[[], object]) -> int:
    """Run `run` in a forked process and return its id."""
    from django.db import connection

    connection.close()
    pid = os.fork()
    if pid == 0:
        try:
            run()
        finally:
            os._exit(0)
    return pid


def measure_delay(
    commands: tuple[str, ...] = ("run_relay", "consume_analytics"), schema: str = "public"
) -> list[float]:
    """Return the seconds from the commit of each view until its row in `schema` is readable, while `commands` run."""
    from django.core.management import call_command
    from django.db import connection

    from shop.activity.recording import publish_alone
    from shop.events import ProductViewed

    children = [run_apart(partial(call_command, name)) for name in commands]
    committed: dict[str, float] = {}
    find = f"select event_id::text from {schema}.analytics_activity where event_id = any(%s::uuid[])"  # noqa: S608
    lock, ended = threading.Lock(), threading.Event()

    def write() -> None:
        began = time.monotonic()
        for number in range(PER_SECOND * SECONDS):
            time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            event = ProductViewed(visitor=uuid4(), sku=f"SKU-{number % 100}")
            publish_alone(event)
            with lock:
                committed[str(event.event_id)] = time.monotonic()
        connection.close()
        ended.set()

    writer, delays = threading.Thread(target=write), list[float]()
    writer.start()
    while not ended.is_set() or committed:
        with lock:
            wanted = list(committed)
        with connection.cursor() as cursor:
            cursor.execute(find, [wanted])
            found, now = [event_id for (event_id,) in cursor.fetchall()], time.monotonic()
        with lock:
            delays += [now - committed.pop(event_id) for event_id in found]
        time.sleep(0.01)
    writer.join()
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    return delays[PER_SECOND * 2 :]  # the consumer joins its group during the first seconds


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=42_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with running("postgres", "kafka"):
        from relay.operations.cluster import create_topics
        from relay.process.loop import prepare_for_batches
        from relay.publisher.topics import known_topics
        from shop.embedded.setup import prepare_database

        prepare_for_batches()  # the consumer's command calls this, too
        prepare_database()
        create_topics(known_topics())
        count = fill_topics(options.events)
        batches, alone, recounts = list[float](), list[float](), list[float]()
        for _ in range(options.runs):
            alone.append(measure_consumer(count // SAMPLE, one_by_one=True)[0])
            rate, generation = measure_consumer(count)
            batches.append(rate)
            recounts.append(measure_recount(generation))
        rebuilds = [measure_rebuild() for _ in range(options.runs)]
        empty_facts()
        cuts = statistics.quantiles(measure_delay(), n=100)
    rates = {name: statistics.median(all_of) for name, all_of in [("batches", batches), ("per_event", alone)]}
    rates["rebuild"] = statistics.median(rebuilds)
    rates |= {"recount": statistics.median(recounts), "delay_p50_ms": cuts[49] * 1e3, "delay_p95_ms": cuts[94] * 1e3}
    limits = {
        "batches": ">= 8,000/s and >= 35x per event",
        "rebuild": ">= 7,000/s",
        "recount": ">= 100,000/s",
        "delay_p95_ms": "<= 500 ms",
    }
    for name, value in rates.items():
        print(f"{name:<14}{value:>10,.0f}   {limits.get(name, '')}")
    print(f"batches are {rates['batches'] / rates['per_event']:.1f}x per event")
    if options.json:
        print(json.dumps({name: round(value) for name, value in rates.items()}))


if __name__ == "__main__":
    main()
