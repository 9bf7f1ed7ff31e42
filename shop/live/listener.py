"""A thread that reads the ends of the topics while a page watches an order, and reports the watched keys it sees.

Each replica reads everything, without a consumer group. While Kafka is away, the bell asks the database.
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
    """Calls `report` with the newest sequence by (topic, order), and `connected` with True or False."""

    def __init__(
        self, watched: Container[str], *, report: Callable[[Seen], object], connected: Callable[[bool], object]
    ) -> None:
        super().__init__(name="listener", daemon=True)
        self._watched = watched
        self._report = report
        self._connected = connected
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
                self._connected(False)
                self._stopping.wait(RETRY_SECONDS)

    def _read(self) -> None:
        if self._stopping.is_set():
            return
        tail = Tail((CHANGES, *SOURCES), client_id="live")
        try:
            self._connected(True)
            idle = 0.0
            while not self._stopping.is_set() and idle < LINGER_SECONDS:
                seen: Seen = {}
                for delivery in tail.poll(seconds=POLL_SECONDS):
                    if delivery.key in self._watched:
                        seen[delivery.topic, delivery.key] = delivery.sequence
                if seen:
                    self._report(seen)
                idle = 0.0 if self._wanted.is_set() else idle + POLL_SECONDS
        finally:
            tail.close()
            self._connected(False)
