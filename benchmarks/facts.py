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

from benchmarks.receivers import consuming, measure_receiver
from benchmarks.stage import connect_as, wait_until
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
    """Return the events per second of the receiver, and its generation."""
    from analytics.facts.consumer import declare_consumer
    from analytics.generation import Generation

    empty_facts()
    connect_as("manage.py", "consume_analytics")
    consumer = declare_consumer()
    consumer.name = f"analytics-{uuid4().hex[:4]}"
    rate = measure_receiver(consumer, consumer.topics, count, one_by_one=one_by_one)
    return rate, Generation(consumer.name, "public")


def measure_recount(generation: Any) -> float:
    """Return the events per second of the recount, which must find no difference."""
    from django.db import connection

    from analytics.recount.comparison import recount
    from analytics.sessions import compute_sessions

    compute_sessions(generation)
    connect_as("manage.py", "verify")
    with connection.cursor() as cursor:
        cursor.execute("set enable_nestloop = off; set work_mem = '64MB'")  # as verify does
        began = time.monotonic()
        found = recount(generation)
        seconds = time.monotonic() - began
    assert not found.differences, found.differences[:3]
    return found.events / seconds


def measure_rebuild(processes: int) -> float:
    """Return the events per second of a rebuild with its visits, next to the current generation."""
    from analytics.generation import NEXT, SCHEMAS, Generation, create_tables, drop_tables
    from analytics.handlers import consumer
    from analytics.models import GenerationChoice
    from analytics.rebuild.build import fill
    from analytics.rebuild.filler import FIRST, Filler
    from analytics.rebuild.helper import start_helper
    from relay.operations.replay import Span, replay

    empty_facts()
    connect_as("manage.py", "analytics")
    replay(consumer, Span(), actor="benchmark")
    other = Generation(NEXT, SCHEMAS[1])
    create_tables(other)
    choice, began = GenerationChoice.objects.create(other=other.schema), time.monotonic()
    with start_helper(processes) as helper:
        fill(Filler(other, half=FIRST if helper else None), choice, lambda _: None, helper)
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


def run_command(command: str) -> None:
    """Run `manage.py command` with its own name and options of the database connection."""
    from django.core.management import call_command

    connect_as("manage.py", command)
    call_command(command)


def publish_view(number: int) -> str:
    """Publish and commit a view of a product, and return the id of the event."""
    from shop.activity.recording import publish_alone
    from shop.events import ProductViewed

    event = ProductViewed(visitor=uuid4(), sku=f"SKU-{number % 100}")
    publish_alone(event)
    return str(event.event_id)


def find_readable(event_ids: list[str], schema: str) -> list[str]:
    """Return the ids of the events whose activity is readable in `schema`."""
    from django.db import connection

    find = f"select event_id::text from {schema}.analytics_activity where event_id = any(%s::uuid[])"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(find, [event_ids])
        return [event_id for (event_id,) in cursor.fetchall()]


def measure_delay(
    commands: tuple[str, ...] = ("run_relay", "consume_analytics"), schema: str = "public"
) -> list[float]:
    """Return the seconds from the commit of each view until its row in `schema` is readable, while `commands` run."""
    from django.db import connection

    children = [run_apart(partial(run_command, name)) for name in commands]
    connect_as("granian")
    wait_until(partial(find_readable, [publish_view(0)], schema), "no view is readable", every=0.05)
    committed: dict[str, float] = {}
    lock, ended = threading.Lock(), threading.Event()

    def write() -> None:
        began = time.monotonic()
        for number in range(PER_SECOND * SECONDS):
            time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            event_id = publish_view(number)
            with lock:
                committed[event_id] = time.monotonic()
        connection.close()
        ended.set()

    writer, delays = threading.Thread(target=write), list[float]()
    writer.start()
    while not ended.is_set() or committed:
        with lock:
            wanted = list(committed)
        found, now = find_readable(wanted, schema), time.monotonic()
        with lock:
            delays += [now - committed.pop(event_id) for event_id in found]
        time.sleep(0.01)
    writer.join()
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    return delays


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=42_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with consuming("consume_analytics"):
        count = fill_topics(options.events)
        batches, alone, recounts = list[float](), list[float](), list[float]()
        for _ in range(options.runs):
            alone.append(measure_consumer(count // SAMPLE, one_by_one=True)[0])
            rate, generation = measure_consumer(count)
            batches.append(rate)
            recounts.append(measure_recount(generation))
        rebuilds = [(measure_rebuild(1), measure_rebuild(2)) for _ in range(options.runs)]
        empty_facts()
        cuts = statistics.quantiles(measure_delay(), n=100)
    rates = {name: statistics.median(all_of) for name, all_of in [("batches", batches), ("per_event", alone)]}
    rates["rebuild"], rates["rebuild_two"] = map(statistics.median, zip(*rebuilds, strict=True))
    rates |= {"recount": statistics.median(recounts), "delay_p50_ms": cuts[49] * 1e3, "delay_p95_ms": cuts[94] * 1e3}
    limits = {
        "batches": ">= 8,000/s and >= 35x per event",
        "rebuild": ">= 7,000/s",
        "rebuild_two": ">= 1.6x of one process",
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
