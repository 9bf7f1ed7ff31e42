"""The loop of a consumer process: poll, apply, commit the offset, redrive parked keys and heal lost events.

While few events arrive, rounds keep a pace, so that batches form. During a backlog the process does not pause, and a
second thread polls the next batch while the current batch is applied.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from relay.conf import configuration
from relay.consumer.arrivals import Arrival, read_delivery
from relay.consumer.breaker import Breaker, CircuitOpened
from relay.consumer.canary import exclude_canaries, note_canaries
from relay.consumer.consumer import Consumer, Run
from relay.consumer.cursors import take_parked
from relay.consumer.deliveries import Delivery, Place
from relay.consumer.subscription import Subscription
from relay.consumer.sweep import Sweep
from relay.database.fitness import demand_fitness
from relay.heartbeat import Pulse
from relay.process.failpoint import failpoint
from relay.process.loop import TRANSIENT, Backoff
from relay.publisher.canary import CanarySent

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BATCH_RECORDS, CHUNK = 4000, 500
# Soft limit of a batch, exceeded by at most one chunk: two batches are in memory, and one is in a single statement.
BATCH_BYTES = 16 * 1024 * 1024
# Without a backlog, work takes at most this share of the time, unless the pause would exceed this number of paces.
BUSY_SHARE, LONGEST_PACE = 0.08, 2
# Time for retries in one round. A staged redrive of many keys then ends soon, and new events wait little longer.
RETRY_SECONDS = 0.5


class Batch(NamedTuple):
    """The deliveries of one poll, and the runs in which they are applied."""

    deliveries: list[Delivery]
    runs: list[Run]


class Receiver:
    """One consumer process. With a stable `instance` name it keeps its partitions over a short restart."""

    def __init__(self, consumer: Consumer, instance: str = "") -> None:
        self._consumer = consumer
        self._instance = instance
        self._pulse = Pulse(consumer.name)
        self._breaker = consumer.breaker = Breaker(consumer)
        # Batches that were polled ahead, arrived during a pause, or opened the circuit breaker.
        self._pending: deque[Batch] = deque()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="poll")
        self._sweep = Sweep(consumer)

    @property
    def topics(self) -> list[str]:
        """The subscribed topics: the topics of the consumer's events, and the topic of the canaries."""
        return [*self._consumer.topics, CanarySent.topic]

    def run(self, stopping: threading.Event) -> None:
        """Consume until `stopping` is set. Retry while the database or Kafka is unavailable.

        :raises DatabaseUnfit: handlers can't publish events in this database.
        """
        backoff = Backoff(stopping, pulse=self._pulse)
        subscription: Subscription | None = None
        while not stopping.is_set():
            try:
                subscription = subscription or self._subscribe()
                self._round(subscription, stopping)
                backoff.succeed()
            except TRANSIENT as error:
                # A new member starts from the committed offset, and the cursors reveal the events already applied.
                if subscription is not None:
                    subscription.close()
                    subscription = None
                    self._pending.clear()
                backoff.pause(f"{self._consumer.name} cannot consume", error)
        if subscription is not None:
            subscription.close()
        self._ahead.shutdown()

    def _subscribe(self) -> Subscription:
        demand_fitness()
        return Subscription(self._consumer.name, self.topics, instance=self._instance)

    def _round(self, subscription: Subscription, stopping: threading.Event) -> None:
        running = self._breaker.may_run()
        subscription.set_paused(not running)
        if running:
            batch = self._pending.popleft() if self._pending else self._poll(subscription)
            began = time.monotonic()
            if batch.deliveries:
                self._process_and_poll(batch, subscription, stopping)
            self._redrive(stopping)
            if self._sweep.is_due:
                self._heal(subscription.find_polled(), stopping)
            if batch.deliveries and not self._pending and len(batch.deliveries) < CHUNK:
                self._keep_pace(began, stopping)
        else:
            self._add_pending(self._poll(subscription))
        self._pulse.beat()

    def _keep_pace(self, began: float, stopping: threading.Event) -> None:
        """Wait until the pace has passed, or longer to stay below BUSY_SHARE; at most LONGEST_PACE paces."""
        pace_ms = self._consumer.pace_ms
        pace = (configuration().pace_ms if pace_ms is None else pace_ms) / 1000
        took = time.monotonic() - began
        stopping.wait(min(max(pace, took / BUSY_SHARE), LONGEST_PACE * pace) - took)

    def _poll(self, subscription: Subscription) -> Batch:
        deliveries, arrivals, size = list[Delivery](), list[Arrival](), 0
        while len(deliveries) < BATCH_RECORDS and size < BATCH_BYTES:
            chunk = subscription.poll(seconds=0 if deliveries else POLL_SECONDS, records=CHUNK)
            deliveries += chunk
            size += sum(len(delivery.value) for delivery in chunk)
            arrivals += map(read_delivery, exclude_canaries(chunk))
            if len(chunk) < CHUNK:
                break
        return Batch(deliveries, self._consumer.arrange(arrivals))

    def _add_pending(self, batch: Batch) -> None:
        if batch.deliveries:
            self._pending.append(batch)

    def _process_and_poll(self, batch: Batch, subscription: Subscription, stopping: threading.Event) -> None:
        """Apply `batch` and, if it is large, poll the next one meanwhile. Only one thread polls at a time."""
        ahead = not self._pending and len(batch.deliveries) >= CHUNK
        polling: Future[Batch] | None = self._ahead.submit(self._poll, subscription) if ahead else None
        try:
            processed = self._process(batch, stopping)
        finally:
            if polling:
                wait([polling])
        if processed:
            failpoint("consumer.processed")
            subscription.commit(batch.deliveries)
        if polling:
            self._add_pending(polling.result())

    def _process(self, batch: Batch, stopping: threading.Event) -> bool:
        """Apply `batch`, and retry while the database fails. Return False if a stop or the breaker interrupted it."""
        backoff, began = Backoff(stopping, pulse=self._pulse), time.monotonic()
        while not stopping.is_set():
            try:
                self._consumer.apply(batch.runs)
                note_canaries(self._consumer.name, batch.deliveries)
                self._pulse.observe("batch_seconds", time.monotonic() - began)
                return True
            except CircuitOpened as error:
                self._breaker.open(str(error))
                self._pending.appendleft(batch)
                return False
            except TRANSIENT as error:
                self._pulse.count("retries")
                backoff.pause(f"{self._consumer.name} cannot apply", error)
            finally:
                self._report_figures()
        return False

    def _report_figures(self) -> None:
        for name, number in self._consumer.figures.items():
            self._pulse.count(name, number)
        self._consumer.figures.clear()

    def _redrive(self, stopping: threading.Event) -> None:
        """Catch up with parked keys that are due, for RETRY_SECONDS. After a transient error, skip the others."""
        if not self._breaker.has_due_keys:
            return
        self._breaker.has_due_keys = False  # until the breaker's next look
        until = time.monotonic() + RETRY_SECONDS
        try:
            while not stopping.is_set() and (keys := take_parked(self._consumer.name)):
                for key in keys:
                    self._consumer.catch_up(key)
                if time.monotonic() >= until:
                    break
        except TRANSIENT as error:
            Backoff(stopping, pulse=self._pulse).pause(f"{self._consumer.name} cannot catch up", error)

    def _heal(self, places: Sequence[Place], stopping: threading.Event) -> None:
        """Apply events that Kafka has lost in `places`. After an error, start the sweep again later."""
        try:
            self._pulse.count("healed", self._sweep.run(places))
        except CircuitOpened as error:
            self._breaker.open(str(error))
        except TRANSIENT as error:
            Backoff(stopping, pulse=self._pulse).pause(f"{self._consumer.name} cannot heal lost events", error)
        finally:
            self._report_figures()
