"""The process around a consumer: poll, apply, commit the offset, and look after keys that wait or fell behind.

While a batch is applied, and this process waits for the database, the next one is polled.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from relay.breaker import Breaker, CircuitOpened
from relay.consumer import Consumer, Run
from relay.cursors import find_behind, find_due
from relay.failpoint import failpoint
from relay.health.canary import CanarySent, leave_out_canaries, note_canaries
from relay.health.heartbeat import Pulse
from relay.health.lag import read_lag
from relay.kafka import Delivery, Source
from relay.loop import TRANSIENT, Backoff

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RETRY_EVERY_SECONDS = 0.5
# What lies behind for this long without standing in Kafka any more is healed from the outbox.
BEHIND_SECONDS = 120.0
SWEEP_EVERY_SECONDS = 30.0


class Batch(NamedTuple):
    """What one poll brought, as it came and as it is applied."""

    deliveries: list[Delivery]
    runs: list[Run]


class Receiver:
    """One consumer process. With a stable `instance` name it takes its partitions up again after a short restart."""

    def __init__(self, consumer: Consumer, instance: str = "") -> None:
        self._consumer = consumer
        self._instance = instance
        self._pulse = Pulse(consumer.name)
        self._breaker = consumer.breaker = Breaker(consumer)
        # Polled ahead, or came while the consumer was paused, or opened its circuit breaker.
        self._held: deque[Batch] = deque()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="poll")
        self._retry_at = 0.0
        self._sweep_at = time.monotonic() + SWEEP_EVERY_SECONDS

    @property
    def topics(self) -> list[str]:
        """What is subscribed to: the consumer's own topics, and that of the canaries."""
        return [*self._consumer.topics, CanarySent.topic]

    def run(self, stopping: threading.Event) -> None:
        """Consume until `stopping` is set. Waits out every absence of the database and of Kafka."""
        backoff = Backoff(stopping, pulse=self._pulse)
        source: Source | None = None
        while not stopping.is_set():
            try:
                source = source or Source(self._consumer.name, self.topics, instance=self._instance)
                self._round(source, stopping)
                backoff.succeed()
            except TRANSIENT as error:
                # A new member starts again from the committed offset: what is already applied is known by its cursor.
                if source is not None:
                    source.close()
                    source = None
                    self._held.clear()
                backoff.pause(f"{self._consumer.name} cannot consume", error)
        if source is not None:
            source.close()
        self._ahead.shutdown()

    def _round(self, source: Source, stopping: threading.Event) -> None:
        running = self._breaker.may_run()
        source.hold(not running)
        if running:
            batch = self._held.popleft() if self._held else self._poll(source)
            if batch.deliveries:
                self._process_and_poll(batch, source, stopping)
            self._tend(idle=not batch.deliveries)
        else:
            self._hold(self._poll(source))
        self._pulse.beat()

    def _poll(self, source: Source) -> Batch:
        return self._read(source.poll(seconds=POLL_SECONDS))

    def _read(self, deliveries: list[Delivery]) -> Batch:
        return Batch(deliveries, self._consumer.read(leave_out_canaries(deliveries)))

    def _hold(self, batch: Batch) -> None:
        if batch.deliveries:
            self._held.append(batch)

    def _process_and_poll(self, batch: Batch, source: Source, stopping: threading.Event) -> None:
        """Apply the batch and, meanwhile, poll and read the next one. Only one thread at a time uses the source."""
        polling: Future[Batch] | None = None if self._held else self._ahead.submit(self._poll, source)
        try:
            processed = self._process(batch, stopping)
        finally:
            if polling:
                wait([polling])
        if processed:
            failpoint("consumer.processed")
            source.commit(batch.deliveries)
        if polling:
            self._hold(polling.result())

    def _process(self, batch: Batch, stopping: threading.Event) -> bool:
        """Apply the batch, again and again while the database is away; False if something stopped it before the end."""
        backoff, began = Backoff(stopping, pulse=self._pulse), time.monotonic()
        while not stopping.is_set():
            try:
                self._consumer.apply(batch.runs)
                note_canaries(self._consumer.name, batch.deliveries)
                self._pulse.observe("batch_seconds", time.monotonic() - began)
                return True
            except CircuitOpened as error:
                self._breaker.open(str(error))
                self._held.appendleft(batch)
                return False
            except TRANSIENT as error:
                self._pulse.count("retries")
                backoff.pause(f"{self._consumer.name} cannot apply", error)
            finally:
                self._tell_figures()
        return False

    def _tell_figures(self) -> None:
        for name, number in self._consumer.figures.items():
            self._pulse.count(name, number)
        self._consumer.figures.clear()

    def _tend(self, *, idle: bool) -> None:
        """Redrive parked keys that are due and, when there is nothing else to do, heal what Kafka has lost."""
        now = time.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + RETRY_EVERY_SECONDS
            for key in find_due(self._consumer.name):
                self._consumer.catch_up(key)
        if idle and now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_SECONDS
            # All streams and cursors are compared only when something is missing: there may be millions.
            if read_lag(self._consumer).events:
                for key in find_behind(self._consumer.name, self._consumer.topics, seconds=BEHIND_SECONDS):
                    logger.warning("healing from the outbox", extra={"consumer": self._consumer.name, "key": key})
                    self._consumer.catch_up(key)
