"""Outbox -> Kafka. A row is marked as published only after the broker has acknowledged its batch.

Each Kafka partition has at most one batch in flight. The next batch is built after the acknowledgement, from rows in
the order of their positions. When a row is sent, all earlier rows of its key are therefore in Kafka's log or before it
in the same batch.

This also holds for a relay that was frozen and has lost its leases: its late batches are duplicates, which consumers
drop by their sequence numbers. The leases keep two relays from sending every row twice.

After a failure between sending and marking the row is still unpublished, and is sent again.
"""

import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from relay.conf import configuration
from relay.database.fitness import demand_fitness
from relay.forwarder.buffer import Buffer
from relay.forwarder.headroom import Headroom
from relay.forwarder.lease import LeaseLost, ShardLeases
from relay.forwarder.marker import Marker
from relay.forwarder.producer import DELIVERY_TIMEOUT_SECONDS, Producer
from relay.forwarder.queues import Completion, PartitionQueue, PartitionQueues
from relay.forwarder.reader import Reader, Row
from relay.heartbeat import Pulse
from relay.process.broker import BrokerUnavailable, RecordRefused
from relay.process.failpoint import failpoint
from relay.process.loop import TRANSIENT, Backoff
from relay.publisher.canary import Canary

logger = logging.getLogger(__name__)

# If rows wait and no batch is acknowledged for this time, the relay is reported as not ready.
QUIET_SECONDS = 5.0
# Start position of a reader until the first renewal of the leases returns the real one.
_UNKNOWN = sys.maxsize


class Forwarder:
    """One relay process. A row goes through the reader, its partition queue, the producer and the marker."""

    def __init__(self, *, name: str = "relay") -> None:
        self.leases = ShardLeases(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
        self._pulse = Pulse(name)
        self._canary = Canary()
        self._reader = Reader(_UNKNOWN)
        self._buffer = Buffer()
        self._queues = PartitionQueues()
        self._marker = Marker(self.leases)
        self._headroom = Headroom()
        self._producer: Producer | None = None
        self._news = threading.Event()
        self._progressed_at = time.monotonic()
        self._is_fit = False  # the database meets the conditions; checked again after a failure, such as a failover
        self._is_behind = False  # the buffer or a read was full, so more rows are unpublished

    def run(self, stopping: threading.Event) -> None:
        """Forward until `stopping` is set. Retry while the database or Kafka is unavailable.

        :raises DatabaseUnfit: the database would lose events.
        """
        backoff = Backoff(stopping, pulse=self._pulse, longest=2.0)
        while not stopping.is_set():
            try:
                if not self._is_fit:
                    demand_fitness()
                    self._is_fit = True
                self._canary.tick()
                self._news.clear()
                progressed = self.forward_round()
                self._report_health()
                backoff.succeed()
                if not progressed and not any(queue.can_continue for queue in self._queues):
                    self._news.wait(self._reader.seconds_left)
            except (*TRANSIENT, LeaseLost) as error:
                self._forget()
                self._is_fit = False
                backoff.pause("relay cannot forward", error)
        self.stop()

    def _report_health(self) -> None:
        """Report the round as completed, unless batches wait and none was acknowledged for QUIET_SECONDS."""
        now = time.monotonic()
        if not any(queue.in_flight or queue.stall for queue in self._queues):
            self._progressed_at = now
        if now - self._progressed_at <= QUIET_SECONDS:
            self._pulse.beat()
        else:
            self._pulse.wait(BrokerUnavailable(f"no batch was acknowledged for {now - self._progressed_at:.0f} s"))

    def stop(self) -> None:
        """Wait up to a second for batches in flight, mark their rows, and release all leases."""
        try:
            with suppress(LeaseLost):  # the new owner marks the rows
                self._drain()
            self.leases.leave()
        except TRANSIENT:
            logger.warning("the leases could not be released; they end after their lease time")
        self._forget()
        self._headroom.stop()

    def forward_round(self) -> bool:
        """Mark, read and send without waiting; return whether there was any progress.

        :raises BrokerUnavailable: no broker answered.
        :raises LeaseLost: another relay has taken over; no row was marked.
        """
        if self.leases.is_due:
            self._renew()
        completions = self._collect()
        if failures := [completion for completion in completions if completion.error]:
            self._recover(failures)
        self._drop_marked(self._marker.mark_due())
        read = self._read()
        self._headroom.keep(self._reader.last)
        return self._send() or read or bool(completions)

    def _renew(self) -> None:
        """Renew the leases. Release shards above this relay's share when no row of them is buffered."""
        again = self.leases.renew(self._find_low_watermark())
        if again is not None:
            self._rewind(again)
        if self.leases.leaving:
            self.leases.release(self.leases.leaving - self._buffer.shards)
        failpoint("relay.leased")

    def _rewind(self, position: int) -> None:
        """Read all rows above `position` again, except buffered rows. Paused queues read them after their pause."""
        self._reader.rewind(position)
        self._queues.rewind(position)

    def _find_low_watermark(self) -> int:
        """Return the low watermark: all rows up to this position are published or wait behind a refused row."""
        return min([self._reader.clean + 1, *self._buffer.rows, *(stall.first for stall in self._queues.stalls)]) - 1

    def _read(self) -> bool:
        """Pause slow queues, resume others, and read if due and the buffer has room. Return whether there is more."""
        for queue in self._queues:
            if queue.is_slow:
                self._pause_queue(queue, 2 * DELIVERY_TIMEOUT_SECONDS)  # makes room in the buffer
            elif queue.stall and time.monotonic() >= queue.stall.until:
                self._rewind(self._queues.resume(queue))
        self._is_behind = self._is_behind or not self._buffer.has_room
        if not (self._reader.is_due and self._buffer.has_room and self.leases.working):
            return False
        stalled = [stall.where for stall in self._queues.stalls]
        rows, more = self._reader.read(self.leases.working, self._buffer.rows, stalled, self.leases.refused)
        if rows:
            self._enqueue(rows)
            failpoint("relay.fetched")
        self._is_behind = more
        return more

    def _enqueue(self, rows: Sequence[Row]) -> None:
        """Add `rows` to the buffer and their queues, except rows of paused queues."""
        self._buffer.add(rows)  # first: if counting the partitions fails, the buffer is cleared and the rows read again
        for topic in {row.topic for row in rows}:
            if not self._queues.is_open(topic):
                self._open_queues(topic)
        for row in rows:
            queue = self._queues.find(row.topic, row.key_hash)
            if queue.stall:
                queue.stall.first = min(queue.stall.first, row.position)
                self._buffer.remove([row])
            else:
                queue.waiting.append(row)

    def _open_queues(self, topic: bytes) -> None:
        """Open `topic` with its number of partitions. A missing topic gets a single, paused queue."""
        producer = self._connect()
        try:
            self._queues.open(topic, producer.count_partitions(topic.decode()))
        except BrokerUnavailable as error:
            logger.error("topic is missing", extra={"topic": topic.decode(), "error": str(error)})
            self._queues.open(topic, 1)
            self._pause_queue(self._queues.find(topic, 0), 5.0)

    def _pause_queue(self, queue: PartitionQueue, seconds: float, rows: Sequence[Row] = ()) -> None:
        self._buffer.remove(self._queues.pause(queue, seconds, rows, unseen=self._reader.clean + 1))

    def _connect(self) -> Producer:
        if self._producer is None:
            self._producer = Producer()
            self._pulse.fallback = self._producer.obstacle
        return self._producer

    def _send(self) -> bool:
        """Send the next batch of each queue that is ready; return whether there was one."""
        ready = [queue for queue in self._queues if queue.is_ready]
        if not ready:
            return False
        producer = self._connect()
        if self.leases.is_due:  # reading, connecting or a freeze took long
            self._renew()
        source = configuration().source.encode()
        for queue in ready:
            queue.send(producer, source, self._wake_up)
        producer.send_queued()
        failpoint("relay.queued")
        return True

    def _wake_up(self, queue: PartitionQueue) -> None:
        """End the wait of `run` if rows wait for this outcome. Otherwise the next read is early enough."""
        if queue.waiting or self._is_behind:
            self._news.set()

    def _collect(self) -> list[Completion]:
        """Return the completed batches. Give the rows of successful ones to the marker."""
        completions = [completion for queue in self._queues if (completion := queue.take_completed())]
        for queue, rows, error in completions:
            if error is None:
                self._marker.add(rows)
                self._progressed_at = time.monotonic()
                self._pulse.count("batches")
                self._pulse.observe("publish_seconds", max(0.0, time.time() - rows[0].created_at), len(rows))
                if queue.stall:
                    self._rewind(self._queues.resume(queue))
        return completions

    def _drop_marked(self, marked: Sequence[Row]) -> None:
        if marked:
            self._buffer.remove(marked)
            self._pulse.count("published", len(marked))

    def _drain(self) -> list[Completion]:
        """Wait up to a second for promising batches in flight, mark the rows of all successful ones, return the others.

        Partitions without a leader would use up the second in each round in which one of them fails.
        """
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and any(
            queue.is_promising and queue.in_flight and not queue.in_flight.sending.done for queue in self._queues
        ):
            time.sleep(0.002)
        failures = [completion for completion in self._collect() if completion.error]
        self._drop_marked(self._marker.mark_all())
        return failures

    def _recover(self, failures: Sequence[Completion]) -> None:
        """Pause each failed queue, or halve its next batch, or refuse its row. Then start with a new producer."""
        failures = [*failures, *self._drain()]
        self._pulse.count("send_errors", len(failures))
        for queue, rows, error in failures:
            logger.warning("Kafka rejected a batch", extra={"partition": queue.number, "error": str(error)})
            if not isinstance(error, RecordRefused):
                self._pause_queue(queue, queue.lengthen_pause(), rows)
            elif not queue.halve_limit(len(rows)):
                # The record has failed alone on a new producer, so no other record is at fault.
                self._refuse(rows[0], str(error))
        self._forget()

    def _refuse(self, row: Row, reason: str) -> None:
        """Mark `row` as refused. Later rows of its key wait until a person redrives it; other keys continue."""
        logger.error("Kafka refused a record for good", extra={"position": row.position, "reason": reason})
        self._marker.refuse(row, reason)
        self.leases.refused[row.topic, row.key] = row.position
        self._pulse.count("refused")

    def _forget(self) -> None:
        """Close the producer and forget all rows and positions; unmarked rows are read again.

        The next renewal returns the position to read from. A restored database may assign old positions again.
        """
        if self._producer is not None:
            self._producer.close()
            self._producer = None
        self._reader = Reader(_UNKNOWN)
        self.leases.forget()
        self._buffer.clear()
        self._queues.forget()
        self._marker.forget()
