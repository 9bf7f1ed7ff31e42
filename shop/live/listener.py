"""A thread that reads the ends of the topics while a page watches an order, and reports the watched keys it sees.

Each replica reads everything, without a consumer group. While the log is silent, the bell queries the database.
"""

import logging
import threading
from collections.abc import Callable, Container

from relay.consumer.tail import Tail
from relay.process.broker import BrokerUnavailable
from shop.live.positions import CHANGES, SOURCES

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
#: Without a watched order for this long, the thread disconnects from Kafka.
LINGER_SECONDS = 30.0

Seen = dict[tuple[str, str], int]


class Listener(threading.Thread):
    """Calls `report` after each poll that returned records: with the newest sequence by (topic, watched order)."""

    def __init__(self, watched: Container[str], *, report: Callable[[Seen], object]) -> None:
        super().__init__(name="listener", daemon=True)
        self._watched = watched
        self._report = report
        self._stopping = threading.Event()
        self._wanted = threading.Event()

    def want(self, wanted: bool) -> None:
        """Connect to Kafka, or disconnect after LINGER_SECONDS if not `wanted`."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def stop(self) -> None:
        """End the thread after its current poll."""
        self._stopping.set()
        self._wanted.set()

    def run(self) -> None:
        """Read until `stop`."""
        while not self._stopping.is_set():
            self._wanted.wait()
            try:
                self._read()
            except BrokerUnavailable as error:
                logger.warning("the live process can't read Kafka", extra={"error": str(error)})
                self._stopping.wait(RETRY_SECONDS)

    def _read(self) -> None:
        if self._stopping.is_set():
            return
        tail = Tail((CHANGES, *SOURCES), client_id="live")
        try:
            idle = 0.0
            while not self._stopping.is_set() and idle < LINGER_SECONDS:
                deliveries = tail.poll(seconds=POLL_SECONDS)
                if deliveries:
                    self._report({(d.topic, d.key): d.sequence for d in deliveries if d.key in self._watched})
                idle = 0.0 if self._wanted.is_set() else idle + POLL_SECONDS
        finally:
            tail.close()
