"""Helpers that run a forwarder until it has nothing left to do, or on a thread."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from relay import Event, publish
from relay.conf import configuration
from relay.consumer.deliveries import Delivery
from relay.forwarder.batches import Message
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.producer import Producer
from relay.models import Outbox
from relay.operations import cluster
from relay.publisher.outbox import _PUBLISH, encode_event, hash_key


def publish_committed(*events: Event) -> None:
    with transaction.atomic():
        for event in events:
            publish(event)


def forward_all(forwarder: Forwarder, *, seconds: float = 15, quiet: float = 0.4) -> None:
    """Run rounds until nothing has happened for `quiet` seconds: all rows are published, refused or unreachable."""
    deadline = time.monotonic() + seconds
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < quiet:
        if forwarder.forward_round() or forwarder._buffer.rows:
            quiet_since = time.monotonic()
        assert time.monotonic() < deadline, f"{len(forwarder._buffer.rows)} rows are still held"
        time.sleep(0.001)


def forward_until(forwarder: Forwarder, is_so: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        forwarder.forward_round()
        time.sleep(0.001)


def make_books_of_a_partition() -> tuple[UUID, UUID]:
    """Return two keys of one partition and of two shards."""
    book, partitions = uuid4(), configuration().partitions
    apart = (other for other in iter(uuid4, None) if (hash_key(str(other)) - hash_key(str(book))) % 16)
    return book, next(other for other in apart if (hash_key(str(other)) - hash_key(str(book))) % partitions == 0)


def publish_late(event: Event) -> BaseDatabaseWrapper:
    """Insert `event` and return the open connection, whose transaction the caller commits or rolls back."""
    late: BaseDatabaseWrapper = connection.copy()
    late.set_autocommit(False)
    with late.cursor() as cursor:
        cursor.execute(_PUBLISH, encode_event(event))
    return late


@contextmanager
def running(*forwarders: Forwarder) -> Iterator[list[threading.Event]]:
    """Run each forwarder on its own thread. Yield one event per forwarder, which stops it early."""
    events = [threading.Event() for _ in forwarders]

    def run(forwarder: Forwarder, stopping: threading.Event) -> None:
        try:
            forwarder.run(stopping)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in zip(forwarders, events, strict=True)]
    for thread in threads:
        thread.start()
    try:
        yield events
    finally:
        for event in events:
            event.set()
        for thread in threads:
            thread.join(20)


def wait_until_published(*, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while waiting := Outbox.objects.filter(published_at=None, refused_reason=None).count():
        assert time.monotonic() < deadline, f"{waiting} rows are still unpublished"
        time.sleep(0.02)


def send_to_kafka(deliveries: Sequence[Delivery]) -> None:
    """Send `deliveries` to Kafka as a relay does, but without an outbox, each in its own batch."""
    producer = Producer()
    for delivery in deliveries:
        partition = hash_key(delivery.key) % producer.count_partitions(delivery.topic)
        headers = [("ce_type", delivery.type.encode()), ("ce_sequence", str(delivery.sequence).encode())]
        sent = threading.Event()
        message = Message(delivery.key.encode(), delivery.value, headers)
        sending = producer.send(delivery.topic, partition, [message], sent.set)
        producer.send_queued()
        assert sent.wait(60) and sending.done and sending.error is None
    producer.close()


def read_key(key: UUID | str) -> list[Delivery]:
    return [delivery for delivery in cluster.read_log(["test.library", "test.notices"]) if delivery.key == str(key)]


def find_first_occurrences(deliveries: list[Delivery]) -> list[int]:
    """Return the sequence numbers in the order of their first occurrence."""
    return list(dict.fromkeys(delivery.sequence for delivery in deliveries))


def end_leases(owner: str) -> None:
    """End the leases of a relay that was killed or is frozen, as if their time had passed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_shardlease set until = clock_timestamp() - interval '1 s' where owner = %s", [owner]
        )
        cursor.execute("delete from relay_relaymember where owner = %s", [owner])
