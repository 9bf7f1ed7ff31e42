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
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from relay.conf import configuration
from relay.forwarder.buffer import Window
from relay.forwarder.lease import LeaseLost, ShardLeases
from relay.forwarder.marker import Marker
from relay.forwarder.producer import DELIVERY_TIMEOUT_SECONDS, Producer
from relay.forwarder.queues import Landing, Lane, Lanes
from relay.forwarder.reader import Reader, Row
from relay.heartbeat import Pulse
from relay.process.broker import BrokerUnavailable, RecordRefused
from relay.process.failpoint import failpoint
from relay.process.loop import TRANSIENT, Backoff
from relay.publisher.canary import Canary

logger = logging.getLogger(__name__)

# Where batches wait and none was acknowledged for so long, rounds are not completed any more.
QUIET_SECONDS = 5.0
# Where a reader stands whom no lease has told yet where to begin.
_UNKNOWN = sys.maxsize


class Forwarder:
    """One relay process. A row goes from the reader through its lane to Kafka, and from there through the marker."""

    def __init__(self, *, name: str = "relay") -> None:
        self.leases = ShardLeases(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
        self._pulse = Pulse(name)
        self._canary = Canary()
        self._reader = Reader(_UNKNOWN)
        self._window = Window()
        self._lanes = Lanes()
        self._marker = Marker(self.leases)
        self._producer: Producer | None = None
        self._news = threading.Event()
        self._moved_at = time.monotonic()
        self._is_behind = False  # more rows are unpublished than the window or a read holds

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
                if not progressed and not any(lane.may_go_on for lane in self._lanes):
                    self._news.wait(self._reader.seconds_left)
            except (*TRANSIENT, LeaseLost) as error:
                self._forget()
                backoff.pause("relay cannot forward", error)
        self.stop()

    def _tell_health(self) -> None:
        """Count the round as completed only if batches are acknowledged, or none waits for that."""
        now = time.monotonic()
        if not any(lane.flight or lane.stall for lane in self._lanes):
            self._moved_at = now
        if now - self._moved_at <= QUIET_SECONDS:
            self._pulse.beat()
        else:
            self._pulse.wait(BrokerUnavailable(f"no batch was acknowledged for {now - self._moved_at:.0f} s"))

    def stop(self) -> None:
        """Wait shortly for what is under way, mark it, and hand everything over at once."""
        try:
            with suppress(LeaseLost):  # what another relay has taken over is no longer ours to mark
                self._settle()
            self.leases.leave()
        except TRANSIENT:
            logger.warning("the leases could not be released and will run out by themselves")
        self._forget()

    def forward_round(self) -> bool:
        """Do what can be done without waiting: mark, read, send. Tell whether there was anything.

        :raises BrokerUnavailable: no broker answers.
        :raises LeaseLost: another relay took over meanwhile; nothing was marked.
        """
        if self.leases.is_due:
            self._renew()
        landings = self._land()
        if failures := [landing for landing in landings if landing.error]:
            self._recover(failures)
        self._let_go(self._marker.mark_due())
        read = self._read()
        return self._send() or read or bool(landings)

    def _renew(self) -> None:
        """Renew the leases, and give away what is above our share as soon as nothing of it is under way."""
        again = self.leases.renew(self._find_low_mark())
        if again is not None:
            self._read_again(again)
        if self.leases.leaving:
            self.leases.release(self.leases.leaving - self._window.shards)
        failpoint("relay.leased")

    def _read_again(self, position: int) -> None:
        """Read everything above `position` again, except what is held; of lanes that are left alone, afterwards."""
        self._reader.rewind(position)
        self._lanes.rewind(position)

    def _find_low_mark(self) -> int:
        """Return the position up to which nothing is left to be done."""
        return min([self._reader.clean + 1, *self._window.rows, *(stall.first for stall in self._lanes.stalls)]) - 1

    def _read(self) -> bool:
        """Read more, unless memory is full or nothing new is to be expected yet. Tell whether there is more."""
        for lane in self._lanes:
            if lane.is_slow:
                self._leave(lane, 2 * DELIVERY_TIMEOUT_SECONDS)  # which makes room
            elif lane.stall and time.monotonic() >= lane.stall.until:
                self._read_again(self._lanes.resume(lane))
        self._is_behind = self._is_behind or not self._window.has_room
        if not (self._reader.is_due and self._window.has_room and self.leases.working):
            return False
        stalled = [stall.where for stall in self._lanes.stalls]
        rows, more = self._reader.read(self.leases.working, self._window.rows, stalled, self.leases.refused)
        if rows:
            self._take_in(rows)
            failpoint("relay.fetched")
        self._is_behind = more
        return more

    def _take_in(self, rows: Sequence[Row]) -> None:
        """Let the rows wait in their lanes, except those of lanes that are left alone."""
        self._window.let_in(rows)  # first: with no broker to ask for partitions they are read again
        for topic in {row.topic for row in rows}:
            if not self._lanes.is_open(topic):
                self._open_lanes(topic)
        for row in rows:
            lane = self._lanes.find(row.topic, row.key_hash)
            if lane.stall:
                lane.stall.first = min(lane.stall.first, row.position)
                self._window.let_out([row])
            else:
                lane.waiting.append(row)

    def _open_lanes(self, topic: bytes) -> None:
        """Ask for the topic's partitions. One that does not exist is left alone as if it had a single one."""
        producer = self._connect()
        try:
            self._lanes.open(topic, producer.count_partitions(topic.decode()))
        except BrokerUnavailable as error:
            logger.error("the topic is not there", extra={"topic": topic.decode(), "error": str(error)})
            self._lanes.open(topic, 1)
            self._leave(self._lanes.find(topic, 0), 5.0)

    def _leave(self, lane: Lane, seconds: float, rows: Sequence[Row] = ()) -> None:
        self._window.let_out(self._lanes.leave(lane, seconds, rows, unseen=self._reader.clean + 1))

    def _connect(self) -> Producer:
        if self._producer is None:
            self._producer = Producer()
            self._pulse.fallback = self._producer.obstacle
        return self._producer

    def _send(self) -> bool:
        """Send the next batch to every partition that has none under way."""
        ready = [lane for lane in self._lanes if lane.is_ready]
        if not ready:
            return False
        producer = self._connect()
        if self.leases.is_due:  # reading, connecting or a freeze took long
            self._renew()
        source = configuration().source.encode()
        for lane in ready:
            lane.send(producer, source, self._note_outcome)
        producer.send_queued()
        failpoint("relay.queued")
        return True

    def _note_outcome(self, lane: Lane) -> None:
        """Wake up for an outcome if rows wait for it. In a quiet shop it is noticed with the next read."""
        if lane.waiting or self._is_behind:
            self._news.set()

    def _land(self) -> list[Landing]:
        """Take note of the batches that have an outcome. Only what has arrived is going to be marked."""
        landings = [landing for lane in self._lanes if (landing := lane.land())]
        for lane, rows, error in landings:
            if error is None:
                self._marker.add(rows)
                self._moved_at = time.monotonic()
                self._pulse.count("batches")
                self._pulse.observe("publish_seconds", max(0.0, time.time() - rows[0].created_at), len(rows))
                if lane.stall:
                    self._read_again(self._lanes.resume(lane))
        return landings

    def _let_go(self, marked: Sequence[Row]) -> None:
        if marked:
            self._window.let_out(marked)
            self._pulse.count("published", len(marked))

    def _settle(self) -> None:
        """Wait a second for the batches under way, and mark all that have arrived."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline and any(lane.flight and not lane.flight.sending.done for lane in self._lanes):
            time.sleep(0.002)
        self._land()
        self._let_go(self._marker.mark_all())

    def _recover(self, failures: Sequence[Landing]) -> None:
        """Make a new producer, and decide for each failed lane how it goes on. The others flow."""
        self._settle()
        self._pulse.count("send_errors", len(failures))
        for lane, rows, error in failures:
            logger.warning("Kafka did not take a batch", extra={"partition": lane.number, "error": str(error)})
            if not isinstance(error, RecordRefused):
                self._leave(lane, lane.lengthen_pause(), rows)
            elif not lane.halve_limit(len(rows)):
                # It has failed alone on a fresh producer: before, another record may have been at fault.
                self._refuse(rows[0], str(error))
        self._forget()

    def _refuse(self, row: Row, reason: str) -> None:
        """Park a row at the relay: its key waits, every other flows."""
        logger.error("Kafka refuses a record for good", extra={"position": row.position, "reason": reason})
        self._marker.refuse(row, reason)
        self.leases.refused[row.topic, row.key] = row.position
        self._pulse.count("refused")

    def _forget(self) -> None:
        """Close the producer and forget all rows: what is not marked is read again.

        From where the database says: one that was restored or has failed over may give positions again.
        """
        if self._producer is not None:
            self._producer.close()
            self._producer = None
        self._reader = Reader(_UNKNOWN)
        self.leases.forget()
        self._window.clear()
        self._lanes.forget()
        self._marker.forget()
