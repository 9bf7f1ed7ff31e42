"""Events per second from a backlog in the outbox to Kafka.

    python -m benchmarks.relay [--events 200000] [--runs 3] [--use-running] [--json]

naive: a loop that sends each record with a future, and marks the rows after a flush. memory: the relay's sender with
rows that are already in memory. relay: the complete relay. CPU is the time of the Python process in microseconds per
event.
"""

import argparse
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

from benchmarks.stage import TOPIC, add_options, fill_outbox, find_medians, measure, prepare

NAIVE_ROWS = 1000


def run_naive(expected: int) -> Callable[[], int]:
    """Return a function that publishes with a simple loop and the fastest options of kafka-python's producer."""
    from django.db import connection
    from kafka import KafkaProducer

    from relay.forwarder.reader import prefer_position_index
    from relay.process.connection import read_connection

    prefer_position_index()
    producer = KafkaProducer(
        **read_connection(),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        batch_size=256 * 1024,
        linger_ms=5,
    )
    producer.partitions_for(TOPIC)

    def work() -> int:
        done, last = 0, 0
        while done < expected:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select position, topic, key, sequence, event_id, type, occurred_at, body from relay_outbox"
                    " where published_at is null and position > %s order by position limit %s",
                    [last, NAIVE_ROWS],
                )
                rows = cursor.fetchall()
            futures = []
            for _, topic, key, sequence, event_id, kind, occurred_at, body in rows:
                headers = [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", str(event_id).encode()),
                    ("ce_type", kind.encode()),
                    ("ce_source", b"/shop"),
                    ("ce_subject", key.encode()),
                    ("ce_time", occurred_at.isoformat().encode()),
                    ("ce_sequence", str(sequence).encode()),
                    ("content-type", b"application/json"),
                ]
                futures.append(producer.send(topic, body.encode(), key.encode(), headers))
            producer.flush()
            for future in futures:
                future.get(timeout=10)
            last = rows[-1][0]
            with connection.cursor() as cursor:
                cursor.execute(
                    "update relay_outbox set published_at = clock_timestamp() where position = any(%s)",
                    [[row[0] for row in rows]],
                )
            done += len(rows)
        producer.close()
        return done

    return work


def run_memory(expected: int) -> Callable[[], int]:
    """Return a function that sends rows from memory, with one in-flight batch per partition like the relay."""
    from relay.forwarder.messages import make_message, take_batch
    from relay.forwarder.producer import Producer, Sending
    from relay.forwarder.queues import BATCH_ROWS
    from relay.forwarder.reader import Reader, Row

    producer, reader, read = Producer(), Reader(), 0
    partitions = producer.count_partitions(TOPIC)
    waiting: dict[int, deque[Row]] = defaultdict(deque)
    held: list[int] = []
    while read < expected:
        rows, _ = reader.read(range(16), [p for p in held if p > reader.clean])
        held = [*held, *(row.position for row in rows)][-5000:]
        for row in rows:
            waiting[row.key_hash % partitions].append(row)
        read += len(rows)

    def work() -> int:
        flights: dict[int, Sending] = {}
        news = threading.Event()
        while waiting or flights:
            news.clear()
            flights = {partition: sending for partition, sending in flights.items() if not sending.done}
            for partition in [partition for partition in waiting if partition not in flights]:
                messages = [make_message(row, b"/shop") for row in take_batch(waiting[partition], BATCH_ROWS, True)]
                flights[partition] = producer.send(TOPIC, partition, messages, news.set)
                if not waiting[partition]:
                    del waiting[partition]
            producer.send_queued()
            news.wait(0.005)
        producer.close()
        return expected

    return work


def run_relay(expected: int) -> Callable[[], int]:
    """Return a function that runs a relay until `expected` rows are marked as published."""
    from relay.forwarder.forwarder import Forwarder

    forwarder = Forwarder()

    def work() -> int:
        stopping = threading.Event()
        published = 0
        count = forwarder._pulse.count

        def watch(name: str, n: int = 1) -> None:
            nonlocal published
            published += n if name == "published" else 0
            if published >= expected:
                stopping.set()
            count(name, n)

        forwarder._pulse.count = watch  # type: ignore[method-assign]
        forwarder.run(stopping)
        return published

    return work


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    add_options(parser)
    options = parser.parse_args()
    ways = {"naive": run_naive, "memory": run_memory, "relay": run_relay}
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with prepare(use_running=options.use_running):
        for _ in range(options.runs):
            for name, prepare_way in ways.items():
                fill_outbox(options.events)
                time.sleep(1)
                figures[name].append(measure(prepare_way(options.events)))
    medians = {name: find_medians(measured) for name, measured in figures.items()}
    print(f"{options.events} events of 600 bytes{'events/s':>14}{'CPU us/event':>14}{'to naive':>10}{'to memory':>11}")
    for name, (rate, cpu) in medians.items():
        against = f"{rate / medians['naive'][0]:>9.2f}x{rate / medians['memory'][0]:>10.2f}x"
        print(f"{name:<27}{rate:>14,.0f}{cpu:>14.1f}{against}")
    if options.json:
        print(json.dumps({name: round(rate) for name, (rate, _) in medians.items()}))


if __name__ == "__main__":
    main()
