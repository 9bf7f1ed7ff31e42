"""Outbox -> Kafka. A row is marked as published only after the broker has acknowledged its batch.

Each Kafka partition has one batch under way; the next one is made when that is acknowledged, from rows in the order of
their positions. So whatever is sent, all that precedes it in its key is in the log already, or before it in its batch.
That holds for a relay that was frozen, lost its leases and wakes up, too: what it still sends are repetitions, which
consumers drop by their sequence. The leases keep two relays from sending everything twice.
Whatever goes wrong between sending and marking, the row is still unpublished, so it is sent again.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection

from relay.arrays import to_array
from relay.conf import configuration
from relay.failpoint import failpoint
from relay.health.canary import Canary
from relay.health.heartbeat import Pulse
from relay.kafka import BrokerUnavailable, RecordRefused
from relay.lease import SHARDS, LeaseLost, ShardLeases
from relay.loop import TRANSIENT, Backoff
from relay.marker import Marker
from relay.messages import make_message, take_batch
from relay.producer import DELIVERY_TIMEOUT_SECONDS, Producer, Sending
from relay.reader import READ_ROWS, Reader, Row, Stalled

logger = logging.getLogger(__name__)

WINDOW_ROWS = 10_000
WINDOW_BYTES = 32 * 1024 * 1024
BATCH_ROWS = 1000
# A partition that has not answered for so long is left alone, so that its rows don't fill the memory.
SLOW_SECONDS = 1.0
# Where batches wait and none was acknowledged for so long, rounds are not completed any more.
QUIET_SECONDS = 5.0
READ_SECONDS = 0.005
IDLE_READ_SECONDS = 0.02
MARK_SECONDS = 0.02
MARK_ROWS = 1000

# The leases' rows are locked until the commit: no other relay can take over between the check and the change.
_IF_HELD = """
with held as (select from relay_shardlease where owner = %(owner)s and (shard, epoch) in
              (select * from unnest(%(shards)s::smallint[], %(epochs)s::bigint[])) for share)
update relay_outbox set {change}
where position = any(%(positions)s::bigint[]) and position between %(first)s and %(last)s
      and (select count(*) from held) = %(count)s
"""
_MARK = _IF_HELD.format(change="published_at = clock_timestamp()")
_REFUSE = _IF_HELD.format(change="refused_reason = %(reason)s")

Partition = tuple[bytes, int]


@dataclass(slots=True)
class Flight:
    """A batch under way."""

    rows: list[Row]
    sending: Sending
    since: float


@dataclass(slots=True)
class Stall:
    """A partition left alone. Its rows from `first` on are read again when it is over, at `until` at the latest."""

    where: Stalled
    first: int
    until: float


class Forwarder:
    """One relay process."""

    def __init__(self, *, name: str = "relay") -> None:
        self.leases = ShardLeases(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
        self._pulse = Pulse(name)
        self._canary = Canary()
        self._reader = Reader()
        self._producer: Producer | None = None
        self._counts: dict[bytes, int] = {}
        # Every row that is read and not marked, by position; it is in one of the next four.
        self._held: dict[int, Row] = {}
        self._held_bytes = 0
        self._waiting: dict[Partition, deque[Row]] = defaultdict(deque)
        self._flights: dict[Partition, Flight] = {}
        self._acknowledged: list[Row] = []
        self._marking: list[Row] = []
        self._marker = Marker()
        self._stalls: dict[Partition, Stall] = {}
        self._pauses: dict[Partition, float] = {}
        # Rows per batch where one was too large, until larger ones get through again.
        self._limits: dict[Partition, int] = {}
        self._news = threading.Event()
        self._read_at = self._mark_at = self._busy_until = 0.0
        self._moved_at = time.monotonic()

    def run(self, stopping: threading.Event) -> None:
        """Forward until `stopping` is set. Waits out every absence of the database and of Kafka."""
        backoff = Backoff(stopping, pulse=self._pulse, longest=2.0)
        while not stopping.is_set():
            try:
                self._canary.tick()
                self._news.clear()
                progressed = self.forward_round()
                self._tell_health()
                backoff.succeed()
                if not progressed:
                    self._news.wait(READ_SECONDS)
            except (*TRANSIENT, LeaseLost) as error:
                self._forget()
                backoff.pause("relay cannot forward", error)
        self.stop()

    def _tell_health(self) -> None:
        """Count the round as completed only if batches are acknowledged, or none waits for that."""
        now = time.monotonic()
        if not self._flights and not self._stalls:
            self._moved_at = now
        if now - self._moved_at <= QUIET_SECONDS:
            self._pulse.beat()
        else:
            self._pulse.wait(BrokerUnavailable(f"no batch was acknowledged for {now - self._moved_at:.0f} s"))

    def stop(self) -> None:
        """Wait shortly for what is under way, mark it, and hand everything over at once."""
        try:
            self._land()
            self._mark()
            self.leases.leave()
        except (*TRANSIENT, LeaseLost):
            logger.warning("the leases could not be released and will run out by themselves")
        self._forget()

    def forward_round(self) -> bool:
        """Do what can be done without waiting: mark, read, send. Tell whether there was anything.

        :raises BrokerUnavailable: no broker answers.
        :raises LeaseLost: another relay took over meanwhile; nothing was marked.
        """
        if self.leases.is_due or not self.leases.is_fresh:
            self._renew()
        landed = self._collect()
        if self._marker.is_done:
            self._finish_marking()
        if len(self._acknowledged) >= MARK_ROWS and not self._marker.is_busy:
            self._begin_marking()
        elif self._acknowledged and not self._marker.is_busy and time.monotonic() >= self._mark_at:
            self._mark()
        read = self._read()
        return self._send() or read or landed

    def _renew(self) -> None:
        """Renew the leases, and give away what is above our share as soon as nothing of it is under way."""
        again = self.leases.renew(self._find_low_mark())
        if again is not None:
            self._reader.rewind(again)
        if self.leases.leaving:
            busy = {row.key_hash % SHARDS for row in self._held.values()}
            self.leases.release(self.leases.leaving - busy)
        failpoint("relay.leased")

    def _find_low_mark(self) -> int:
        firsts = [*self._held, *(stall.first for stall in self._stalls.values())]
        return min([self._reader.clean, *(first - 1 for first in firsts)])

    def _read(self) -> bool:
        """Read more, unless memory is full or nothing new is to be expected yet."""
        now = time.monotonic()
        room = len(self._held) + READ_ROWS <= WINDOW_ROWS and self._held_bytes < WINDOW_BYTES
        if now < self._read_at or not room or not self.leases.working:
            return False
        self._leave_slow_partitions(now)
        for partition in [p for p, stall in self._stalls.items() if now >= stall.until]:
            self._end_stall(partition)
        stalled = [stall.where for stall in self._stalls.values()]
        clean = self._reader.clean
        rows, more = self._reader.read(self.leases.working, self._held, stalled)
        try:
            for row in rows:
                self._hold(row)
        except BaseException:
            # With no broker to ask for partitions some rows are not held: they must be read again.
            self._reader.rewind(clean)
            raise
        if rows:
            self._busy_until = now + 1.0
            failpoint("relay.fetched")
        # At most half of the time: an old transaction makes each read look at more rows.
        every = max(READ_SECONDS if now < self._busy_until else IDLE_READ_SECONDS, 2 * (time.monotonic() - now))
        self._read_at = 0.0 if more else now + every
        return more

    def _hold(self, row: Row) -> None:
        if (row.topic, row.key) in self.leases.refused:
            return
        partition = row.topic, row.key_hash % (self._counts.get(row.topic) or self._count_partitions(row.topic))
        if partition in self._stalls:
            self._stalls[partition].first = min(self._stalls[partition].first, row.position)
            return
        self._held[row.position] = row
        self._held_bytes += len(row.body)
        self._waiting[partition].append(row)

    def _count_partitions(self, topic: bytes) -> int:
        """Ask for the topic's partitions. One that does not exist stalls as if it had a single one."""
        producer = self._connect()
        try:
            self._counts[topic] = producer.count_partitions(topic.decode())
        except BrokerUnavailable as error:
            logger.error("the topic is not there", extra={"topic": topic.decode(), "error": str(error)})
            self._counts[topic] = 1
            self._stall((topic, 0), self._reader.clean + 1, seconds=5.0)
        return self._counts[topic]

    def _connect(self) -> Producer:
        if self._producer is None:
            self._producer = Producer()
        return self._producer

    def _send(self) -> bool:
        """Send the next batch to every partition that has none under way."""
        ready = [p for p, rows in self._waiting.items() if rows and p not in self._flights and p not in self._stalls]
        if not ready:
            return False
        producer = self._connect()
        if not self.leases.is_fresh:
            self._renew()
        source = configuration().source.encode()
        for partition in ready:
            topic, number = partition
            rows = take_batch(self._waiting[partition], self._limits.get(partition, BATCH_ROWS), producer.whole_batches)
            messages = [make_message(row, source) for row in rows]
            sending = producer.send(topic.decode(), number, messages, self._news.set)
            self._flights[partition] = Flight(rows, sending, time.monotonic())
        failpoint("relay.queued")
        return True

    def _collect(self) -> bool:
        """Take note of the batches that have an outcome."""
        done = [partition for partition, flight in self._flights.items() if flight.sending.done]
        failures = {}
        for partition in done:
            flight = self._flights.pop(partition)
            error = flight.sending.error
            if error is None:
                self._accept(partition, flight)
            else:
                failures[partition] = (flight, error)
        if failures:
            self._recover(failures)
        return bool(done)

    def _accept(self, partition: Partition, flight: Flight) -> None:
        if not self._acknowledged:
            self._mark_at = time.monotonic() + MARK_SECONDS
        self._acknowledged += flight.rows
        self._moved_at = time.monotonic()
        self._pulse.count("batches")
        self._pulse.observe("publish_seconds", max(0.0, time.time() - flight.rows[0].created_at), len(flight.rows))
        self._pauses.pop(partition, None)
        if partition in self._stalls:
            self._end_stall(partition)
        limit = self._limits.pop(partition, BATCH_ROWS)
        if limit < BATCH_ROWS:
            self._limits[partition] = limit + limit // 8 + 1

    def _begin_marking(self) -> None:
        """Mark what was acknowledged while this goes on. Worth a thread for many rows only."""
        self._take_acknowledged()
        self._marker.begin(partial(self._write, _MARK, self._marking))

    def _finish_marking(self) -> None:
        """Wait for the marking that was begun, if any was.

        :raises LeaseLost: the rows' shards are not all ours any more; none was marked.
        """
        if self._marker.is_busy:
            self._marker.finish()
            self._let_go_marked()

    def _mark(self) -> None:
        """Mark everything that was acknowledged, if its shards are still ours in the epoch in which they were taken.

        :raises LeaseLost: they are not; nothing was marked.
        """
        self._finish_marking()
        if self._acknowledged:
            self._take_acknowledged()
            self._write(_MARK, self._marking)
            self._let_go_marked()

    def _take_acknowledged(self) -> None:
        failpoint("relay.sent")
        self._marking, self._acknowledged = self._acknowledged, []

    def _let_go_marked(self) -> None:
        failpoint("relay.marked")
        self._let_go(self._marking)
        self._pulse.count("published", len(self._marking))
        self._marking = []

    def _write(self, statement: str, rows: Sequence[Row], **values: Any) -> None:
        shards = sorted({row.key_hash % SHARDS for row in rows})
        epochs = [self.leases.epochs.get(shard, -1) for shard in shards]
        positions = sorted(row.position for row in rows)
        values |= {"positions": to_array(positions), "first": positions[0], "last": positions[-1]}
        values |= {"owner": self.leases.owner, "shards": shards, "epochs": epochs, "count": len(shards)}
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            if cursor.rowcount == 0:
                raise LeaseLost(f"{self.leases.owner} no longer holds all of the shards {shards}")

    def _leave_slow_partitions(self, now: float) -> None:
        """Drop what waits behind a batch without an answer, and don't read more of it."""
        for partition, flight in self._flights.items():
            if now - flight.since > SLOW_SECONDS and partition not in self._stalls:
                self._stall(partition, flight.rows[0].position, seconds=2 * DELIVERY_TIMEOUT_SECONDS)
                self._let_go(self._waiting.pop(partition, ()))

    def _let_go(self, rows: Iterable[Row]) -> None:
        for row in rows:
            del self._held[row.position]
            self._held_bytes -= len(row.body)

    def _stall(self, partition: Partition, first: int, seconds: float) -> None:
        """Leave the partition alone. All of its rows from the position `first` on are read again afterwards."""
        if partition in self._stalls:
            first = min(first, self._stalls[partition].first)
        where = Stalled(*partition, self._counts.get(partition[0], 1))
        self._stalls[partition] = Stall(where, first, time.monotonic() + seconds)

    def _end_stall(self, partition: Partition) -> None:
        if self._counts.get(partition[0]) == 1:
            del self._counts[partition[0]]  # perhaps it was not there and is now
        self._reader.rewind(self._stalls.pop(partition).first - 1)

    def _recover(self, failures: dict[Partition, tuple[Flight, Exception]]) -> None:
        """Make a new producer, and decide for each failed partition how it goes on. The others flow."""
        self._land()
        self._mark()
        self._pulse.count("send_errors", len(failures))
        for partition, (flight, error) in failures.items():
            logger.warning("Kafka did not take a batch", extra={"partition": partition[1], "error": str(error)})
            if not isinstance(error, RecordRefused):
                pause = self._pauses[partition] = min(5.0, 2 * self._pauses.get(partition, 0.1))
                self._stall(partition, flight.rows[0].position, pause)
            elif self._limits.get(partition) == 1:
                # It has failed alone on a fresh producer: before, another record may have been at fault.
                self._refuse(flight.rows[0], str(error))
            else:
                self._limits[partition] = max(1, len(flight.rows) // 2)
        self._forget()

    def _refuse(self, row: Row, reason: str) -> None:
        """Park a row at the relay: its key waits, every other flows."""
        logger.error("Kafka refuses a record for good", extra={"position": row.position, "reason": reason})
        self._write(_REFUSE, [row], reason=reason)
        self.leases.refused[row.topic, row.key] = row.position
        self._pulse.count("refused")

    def _land(self) -> None:
        """Wait a second for the batches under way and take note of those that arrived."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and not all(flight.sending.done for flight in self._flights.values()):
            time.sleep(0.002)
        for partition, flight in list(self._flights.items()):
            if flight.sending.done and flight.sending.error is None:
                del self._flights[partition]
                self._accept(partition, flight)

    def _forget(self) -> None:
        """Close the producer and forget all rows: what is not marked is read again."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None
        self._reader.rewind(self._find_low_mark())
        self._held_bytes = 0
        self._read_at = 0.0
        self._marker.close()
        for memory in (self._counts, self._held, self._waiting, self._flights, self._acknowledged, self._marking):
            memory.clear()
