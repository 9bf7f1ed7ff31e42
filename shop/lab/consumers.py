"""Consumers that only the lab runs: one with a bug, and one that joins late. Each is a child of the lab's process."""

import threading
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from django.db import connection

from relay import Consumer
from relay.arrays import to_array
from relay.consumer.consumer import Handler
from relay.consumer.receiver import Receiver
from relay.operations.audit import find_consumer
from relay.process.loop import prepare_for_batches, stop_on_signals
from relay.publisher.topics import build_decoders
from shop.embedded.parts import run_command
from shop.events import OrderPlaced
from shop.lab.seed.services import ONE_IN

#: The consumer that the deployment breaks.
BROKEN = "notifications"


class PlantedBug(Exception):
    """The bug of the deployment."""


def is_hit(key: str) -> bool:
    """Return whether the bug hits the events of the key `key`.

    It hits few keys: if half of them failed, the circuit breaker would pause the consumer instead.
    """
    return crc32(key.encode()) % ONE_IN == 0


def run_broken_consumer() -> None:
    """Run the consumer BROKEN with a bug in its handlers, as after a bad deployment."""
    consumer = find_consumer(BROKEN)
    consumer._handlers[:] = [Handler(handler.classes, _break(handler.call)) for handler in consumer._handlers]
    run_command(f"manage.py consume_{BROKEN}")


def _break(call: Any) -> Any:
    def handle(events: Sequence[Any]) -> None:
        for event in events:
            if is_hit(str(event.key)):
                raise PlantedBug("the lab deployed a bug: the letter's template is missing")
        call(events)

    return handle


def name_latecomer(run_id: int) -> str:
    """Return the name of a run's late consumer: each run has a new one, which begins at the first event."""
    return f"lab-latecomer-{run_id}"


def run_latecomer(run_id: int) -> None:
    """Run a consumer that has never run before. It stores each order in lab.latecomer."""
    consumer = Consumer(name_latecomer(run_id))

    @consumer.on(OrderPlaced, many=True)
    def store(events: Sequence[OrderPlaced]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into lab.latecomer (run, event_id, order_id, total)"
                " select %s, * from unnest(%s::uuid[], %s::uuid[], %s::bigint[])",
                [
                    run_id,
                    to_array(event.event_id for event in events),
                    to_array(event.order_id for event in events),
                    to_array(event.total for event in events),
                ],
            )

    stopping: threading.Event = stop_on_signals()
    build_decoders()
    prepare_for_batches()
    Receiver(consumer).run(stopping)


def forget_latecomer(run_id: int) -> None:
    """Delete the cursors of a run's late consumer, which would keep the outbox from being pruned."""
    with connection.cursor() as cursor:
        for table in ("relay_cursor", "relay_settled", "relay_consumerstate"):
            cursor.execute(f"delete from {table} where consumer = %s", [name_latecomer(run_id)])  # noqa: S608
