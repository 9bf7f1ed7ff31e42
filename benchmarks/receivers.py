"""Rate of a real receiver: PostgreSQL and Kafka in an empty folder, and the process as tuned as a consume_* command."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.stage import connect_as, running

if TYPE_CHECKING:
    from relay import Consumer


@contextmanager
def consuming(command: str) -> Iterator[None]:
    """Start PostgreSQL and Kafka with all tables and topics. This process then works like `manage.py command`."""
    with running("postgres", "kafka"):
        from relay.operations.cluster import create_topics
        from relay.process.loop import prepare_for_batches
        from relay.publisher.topics import known_topics
        from shop.embedded.setup import prepare_database

        prepare_for_batches()
        prepare_database()
        create_topics(known_topics())
        connect_as("manage.py", command)
        yield


def measure_receiver(consumer: "Consumer", topics: list[str], count: int, *, one_by_one: bool = False) -> float:
    """Return the events per second of a receiver of `consumer`, until it has `count` events of `topics`.

    The clock begins with the first batch, so it excludes joining the group.

    :param one_by_one: apply each event in its own transaction.
    """
    from relay.consumer.arrivals import read_delivery
    from relay.consumer.receiver import Batch, Receiver

    stopping = threading.Event()

    def alone(delivery: Any) -> Batch:
        return Batch([delivery], consumer.arrange([read_delivery(delivery)]))

    class Measured(Receiver):
        seen, began, ended = 0, 0.0, 0.0

        def _process(self, batch: Batch, stopping: threading.Event) -> bool:
            self.began = self.began or time.monotonic()
            for part in map(alone, batch.deliveries) if one_by_one else [batch]:
                assert super()._process(part, stopping)
                self.seen += sum(delivery.topic in topics for delivery in part.deliveries)
                if self.seen >= count:
                    self.ended = time.monotonic()
                    stopping.set()
                    break
            return True

    receiver = Measured(consumer)
    receiver.run(stopping)
    return receiver.seen / (receiver.ended - receiver.began)
