"""Events per second of inventory's consumer, with orders spread over 1,000 SKUs and over 5 hot SKUs.

    python -m benchmarks.consumer [--events 20000] [--runs 3] [--json]

The benchmark starts a separate PostgreSQL and Kafka. The real receiver consumes OrderPlaced, moves stock and cursors,
and publishes its events. For comparison, the same run measures kafka-python's `poll()` alone, one event per
transaction, and the recorded statements of a run, repeated without Kafka. The time is measured from the first record to
the last and excludes joining the consumer group.
"""

import argparse
import json
import random
import statistics
import threading
import time
from collections import defaultdict
from typing import Any
from uuid import uuid4

from benchmarks.receivers import consuming, measure_receiver

PIECES = 1_000_000
SKUS = {"uniform": 1000, "hot": 5}
# One event per transaction is slow, so this measurement uses a tenth of the events.
SAMPLE = 10
#: The table with the outbox rows of all topics, from which they are restored before each run.
KEPT = "bench_kept_outbox"


def make_orders(kind: str, count: int) -> list[Any]:
    """Return `count` orders of one to three lines over the SKUs of `kind`. The seed is fixed."""
    from uuid_utils.compat import uuid7

    from shop.events import OrderedLine, OrderPlaced

    dice, skus = random.Random(4), [f"{kind}-{n}" for n in range(SKUS[kind])]
    return [
        OrderPlaced(
            order_id=uuid7(),
            number="ABCD-1234",
            contact_id=uuid4(),
            currency="EUR",
            discount=0,
            shipping=0,
            tax=796,
            total=4990,
            lines=[
                OrderedLine(sku=sku, quantity=dice.randint(1, 2), unit_price=4990)
                for sku in dice.sample(skus, dice.randint(1, 3))
            ],
            payment_reference="01976f2e-0000-7000-8000-000000000004",
            channel="web",
            nth_order=1,
            first_order_month="2026-05",
            first_this_month=True,
        )
        for _ in range(count)
    ]


def fill_topic(topic: str, kind: str, count: int) -> None:
    """Send `count` orders to a new topic in the relay's format, and keep their outbox rows in the table KEPT.

    Each order is the first event of its key.
    """
    from relay.forwarder.batches import Message
    from relay.forwarder.messages import make_message
    from relay.forwarder.producer import Producer
    from relay.forwarder.reader import Row
    from relay.operations.cluster import create_topics
    from relay.publisher.outbox import hash_key

    create_topics([topic])
    producer = Producer()
    partitions = producer.count_partitions(topic)
    by_partition: dict[int, list[Message]] = defaultdict(list)
    orders = make_orders(kind, count)
    keep_rows(topic, orders)
    for n, order in enumerate(orders):
        key_hash, key, kind_of_event = hash_key(order.key), order.key.encode(), order.type_name().encode()
        at, event_id = order.occurred_at.isoformat().encode(), str(order.event_id).encode()
        row = Row(n, key_hash, topic.encode(), key, b"1", event_id, kind_of_event, at, b"", order.encode(), 0.0)
        by_partition[key_hash % partitions].append(make_message(row, b"/shop"))
    for partition, messages in by_partition.items():
        for start in range(0, len(messages), 500):
            sent = threading.Event()
            sending = producer.send(topic, partition, messages[start : start + 500], sent.set)
            producer.send_queued()
            assert sent.wait(30) and sending.error is None
    producer.close()


def keep_rows(topic: str, orders: list[Any]) -> None:
    """Add the outbox rows of `orders` to KEPT, because consumers apply an event only if the outbox has it."""
    from django.db import connection

    from relay.publisher.outbox import hash_key

    with connection.cursor() as cursor:
        cursor.execute(f"create table if not exists {KEPT} (like relay_outbox including defaults)")
        cursor.executemany(
            f"insert into {KEPT} (position, topic, key, key_hash, sequence, event_id, type, occurred_at, body)"  # noqa: S608
            " values (0, %s, %s, %s, 1, %s, %s, %s, %s)",
            [
                (topic, o.key, hash_key(o.key), o.event_id, o.type_name(), o.occurred_at, o.encode().decode())
                for o in orders
            ],
        )


def measure_poll(topic: str, count: int) -> float:
    """Return the records per second of `poll()` alone."""
    from relay.consumer.subscription import Subscription

    subscription, seen, first, began = Subscription(f"poll-{uuid4()}", [topic]), 0, 0, 0.0
    while seen < count:
        polled = subscription._consumer.poll(timeout_ms=250, max_records=500)
        seen += sum(map(len, polled.values()))
        if seen and not began:  # do not count the records that were polled before the clock started
            began, first = time.monotonic(), seen
    rate = (count - first) / (time.monotonic() - began)
    subscription.close()
    return rate


def measure_consumer(topic: str, count: int, *, one_by_one: bool = False) -> float:
    """Return the events per second of the whole receiver, with one event per transaction if `one_by_one`."""
    from inventory.handlers import consumer
    from shop.events import OrderEvent

    consumer.name = f"inventory-{uuid4().hex[:4]}"
    OrderEvent.topic = topic
    for event_class in OrderEvent.__subclasses__():
        event_class.topic = topic
    return measure_receiver(consumer, [topic], count, one_by_one=one_by_one)


def measure_statements(topic: str, count: int) -> float:
    """Record the statements of a run, repeat them with the same values, and return their events per second."""
    from django.db import connection, transaction

    batches: list[list[tuple[str, Any]]] = []

    def record(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "set_config('lock_timeout'" in sql:  # the first of each batch
            batches.append([])
        if batches and connection.in_atomic_block:
            batches[-1].append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(record):
        measure_consumer(topic, count)
    empty_tables()
    began = time.monotonic()
    for batch in batches:
        with transaction.atomic(), connection.cursor() as cursor:
            for sql, parameters in batch:
                cursor.execute(sql, parameters)
                if cursor.description:
                    cursor.fetchall()
    rate = count / (time.monotonic() - began)
    check_effects(count)
    return rate


def empty_tables() -> None:
    """Delete the rows of the last run, and reset the stock."""
    from django.db import connection

    from inventory.services import receive_opening_stock

    with connection.cursor() as cursor:
        cursor.execute(
            "truncate inventory_stock, inventory_reservation, inventory_movement,"
            " relay_cursor, relay_outbox, relay_stream"
        )
        columns = "topic, key, key_hash, sequence, event_id, type, occurred_at, body, published_at"
        cursor.execute(f"insert into relay_outbox ({columns}) select {columns} from {KEPT}")  # noqa: S608
        cursor.execute("insert into relay_stream (topic, key, last) select topic, key, sequence from relay_outbox")
    receive_opening_stock({f"{kind}-{n}": PIECES for kind, number in SKUS.items() for n in range(number)})
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze inventory_stock")
        cursor.execute("checkpoint")


def check_effects(count: int) -> None:
    """Check that each order was reserved and answered exactly once."""
    from django.db import connection

    from inventory.verification import find_stock_differences

    assert list(find_stock_differences()) == []
    with connection.cursor() as cursor:
        cursor.execute("select count(*), count(distinct key) from relay_outbox where type = 'StockReserved.v1'")
        written, keys = cursor.fetchone()
    assert written == keys >= count, (written, keys, count)


def measure(events: int, runs: int) -> dict[str, float]:
    """Return the medians of all rates, in events per second."""
    rates: dict[str, list[float]] = {}
    topics = {kind: f"bench.{kind}" for kind in SKUS}
    for kind, topic in topics.items():
        fill_topic(topic, kind, events)
    for _ in range(runs):
        rates.setdefault("poll", []).append(measure_poll(topics["uniform"], events))
        for kind, topic in topics.items():
            empty_tables()
            rates.setdefault(kind, []).append(measure_consumer(topic, events))
            check_effects(events)
        empty_tables()
        alone = measure_consumer(topics["uniform"], events // SAMPLE, one_by_one=True)
        rates.setdefault("per_event", []).append(alone)
        empty_tables()
        rates.setdefault("statements", []).append(measure_statements(topics["uniform"], events))
    return {name: statistics.median(measured) for name, measured in rates.items()}


def print_table(rates: dict[str, float]) -> None:
    """Print each rate and its limit."""
    limits = {
        "poll": "poll() alone",
        "per_event": "one transaction per event",
        "statements": "the statements of uniform, repeated without Kafka",
        "uniform": f">= 1/4 of poll(): {rates['poll'] / 4:,.0f}, >= 10x per event: {rates['per_event'] * 10:,.0f}",
        "hot": f">= 0.8x uniform: {rates['uniform'] * 0.8:,.0f}",
    }
    for name, limit in limits.items():
        print(f"{name:<12}{rates[name]:>10,.0f} events/s   {limit}")
    print(
        f"uniform is {rates['uniform'] / rates['poll']:.2f} of poll(), {rates['uniform'] / rates['per_event']:.1f}x"
        f" per event; hot is {rates['hot'] / rates['uniform']:.2f} of uniform; PostgreSQL alone would be"
        f" {rates['statements'] / rates['poll']:.2f} of poll()"
    )


def main() -> None:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with consuming("consume_inventory"):
        rates = measure(options.events, options.runs)
    print_table(rates)
    if options.json:
        print(json.dumps({name: round(rate) for name, rate in rates.items()}))


if __name__ == "__main__":
    main()
