"""The process around a consumer: poll, apply, commit the offset, and look after keys that wait or fell behind.

While few events come, rounds are at a pace, so that batches form. A backlog is worked off without a pause: the next
batch is polled on a second thread while the last one is applied.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from relay.conf import configuration
from relay.consumer.arrivals import Arrival, take_delivery
from relay.consumer.breaker import Breaker, CircuitOpened
from relay.consumer.canary import leave_out_canaries, note_canaries
from relay.consumer.consumer import Consumer, Run
from relay.consumer.cursors import Key, find_behind, take_due
from relay.consumer.deliveries import Delivery
from relay.consumer.lag import read_lag
from relay.consumer.subscription import Source
from relay.heartbeat import Pulse
from relay.process.failpoint import failpoint
from relay.process.loop import TRANSIENT, Backoff
from relay.publisher.canary import CanarySent

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BATCH_RECORDS, CHUNK = 4000, 500
# A smaller batch says that there is no backlog.
FEW_RECORDS = 100
# Of large events fewer, by at most a chunk too many: two batches are in memory, and one in a single statement.
BATCH_BYTES = 16 * 1024 * 1024
# While few events come, rounds are so far apart that they take this share of the time at most.
BUSY_SHARE, LONGEST_PACE = 0.15, 2
RETRY_EVERY_SECONDS = 1.0
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
            began = time.monotonic()
            if batch.deliveries:
                self._process_and_poll(batch, source, stopping)
            self._tend(stopping, idle=not batch.deliveries)
            if batch.deliveries and not self._held and len(batch.deliveries) < FEW_RECORDS:
                self._rest(began, stopping)
        else:
            self._hold(self._poll(source))
        self._pulse.beat()

    def _rest(self, began: float, stopping: threading.Event) -> None:
        """Wait so that rounds are at their pace, and take BUSY_SHARE of the time at most: up to LONGEST_PACE paces."""
        pace_ms = self._consumer.pace_ms
        pace = (configuration().pace_ms if pace_ms is None else pace_ms) / 1000
        took = time.monotonic() - began
        stopping.wait(min(max(pace, took / BUSY_SHARE), LONGEST_PACE * pace) - took)

    def _poll(self, source: Source) -> Batch:
        deliveries, arrivals, size = list[Delivery](), list[Arrival](), 0
        while len(deliveries) < BATCH_RECORDS and size < BATCH_BYTES:
            chunk = source.poll(seconds=0 if deliveries else POLL_SECONDS, records=CHUNK)
            deliveries += chunk
            size += sum(len(delivery.value) for delivery in chunk)
            arrivals += map(take_delivery, leave_out_canaries(chunk))
            if len(chunk) < CHUNK:
                break
        return Batch(deliveries, self._consumer.arrange(arrivals))

    def _hold(self, batch: Batch) -> None:
        if batch.deliveries:
            self._held.append(batch)

    def _process_and_poll(self, batch: Batch, source: Source, stopping: threading.Event) -> None:
        """Apply the batch and, if it is large, poll the next one meanwhile. One thread at a time uses the source."""
        ahead = not self._held and len(batch.deliveries) >= FEW_RECORDS
        polling: Future[Batch] | None = self._ahead.submit(self._poll, source) if ahead else None
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

    def _tend(self, stopping: threading.Event, *, idle: bool) -> None:
        """Redrive parked keys that are due and, when there is nothing else to do, heal what Kafka has lost."""
        now = time.monotonic()
        if now >= self._retry_at:
            self._retry_at = now + RETRY_EVERY_SECONDS
            self._catch_up(take_due(self._consumer.name), stopping)
        if idle and now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_SECONDS
            # All streams and cursors are compared only when something is missing: there may be millions.
            lag = read_lag(self._consumer)
            if lag.events > lag.parked_events:
                behind = find_behind(self._consumer.name, self._consumer.topics, seconds=BEHIND_SECONDS)
                for key in behind:
                    logger.warning("healing from the outbox", extra={"consumer": self._consumer.name, "key": key})
                self._catch_up(behind, stopping)

    def _catch_up(self, keys: Sequence[Key], stopping: threading.Event) -> None:
        """Catch up with these keys; what the database can't do now, for example for a lock, waits for another time."""
        try:
            for key in keys:
                self._consumer.catch_up(key)
        except TRANSIENT as error:
            Backoff(stopping, pulse=self._pulse).pause(f"{self._consumer.name} cannot catch up", error)
