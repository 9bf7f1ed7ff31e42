"""A random walk of up to three relays in one process. No relay skips a row that is neither published nor refused.

Random steps kill, stop and freeze relays, move shards, silence partitions, fail batches, refuse and redrive records,
and commit transactions late.
"""

import time
from contextlib import suppress
from random import Random

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from relay import BrokerUnavailable
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.lease import LeaseLost
from relay.forwarder.queues import Completion, PartitionQueue
from relay.models import Outbox
from relay.process.broker import RecordRefused
from relay.process.loop import TRANSIENT
from shop.management.verification.outbox import find_rows_left_behind
from tests.faults.parcels import ParcelMoved
from tests.relay.forwarding import end_leases, publish_committed, publish_late

# The relative frequency of each step. Each walk omits some steps and increases the frequency of others.
WEIGHTS = {
    "forward": 200,
    "write": 40,
    "write_slowly": 2,
    "commit_late": 8,
    "silence": 10,
    "fail": 2,
    "refuse": 1,
    "redrive": 2,
    "start": 9,
    "kill": 5,
    "stop": 2,
    "freeze": 5,
}


class Walk:
    """One walk. `silent` maps a queue to the step until which it gives no answer; `poisoned` keys are refused."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.random = Random(seed)
        self.step = 0
        moods = {name: weight * self.random.choice([0, 1, 4]) for name, weight in WEIGHTS.items()}
        self.weights = moods | {name: WEIGHTS[name] for name in ("forward", "write", "start", "commit_late", "redrive")}
        self.relays = [Forwarder()]
        self.asleep: dict[Forwarder, int] = {}
        self.silent: dict[int, int] = {}
        self.failing = 0
        self.poisoned: set[bytes] = set()
        self.keys = [f"{self.random.random()}" for _ in range(24)]
        self.late: list[BaseDatabaseWrapper] = []
        self._take_completed = PartitionQueue.take_completed
        monkeypatch.setattr(PartitionQueue, "take_completed", lambda queue: self.take_completed(queue))

    def take_completed(self, queue: PartitionQueue) -> Completion | None:
        """Return the outcome of the batch of `queue`, or the outcome that this walk injects."""
        if self.silent.get(queue.number, 0) > self.step:
            return None
        completion = self._take_completed(queue)
        if completion is None:
            return None
        if any(row.key in self.poisoned for row in completion.rows):
            return completion._replace(error=RecordRefused("poisoned"))
        if self.failing > 0:
            self.failing -= 1
            return completion._replace(error=BrokerUnavailable("no answer"))
        return completion

    def take(self, steps: int) -> None:
        """Take `steps` random steps and check for skipped rows after each ten."""
        for _ in range(steps):
            self.step += 1
            getattr(self, self.random.choices([*self.weights], [*self.weights.values()])[0])()
            if self.step % 10 == 0:
                assert list(find_rows_left_behind()) == [], f"after step {self.step}"

    def forward(self, relay: Forwarder | None = None) -> None:
        """Run one round of a relay that is not frozen, with the error handling of `Forwarder.run`."""
        relay = relay or self.choose_relay()
        if relay is None or self.asleep.get(relay, 0) > self.step:
            return
        try:
            relay.forward_round()
        except (*TRANSIENT, LeaseLost):
            relay._forget()

    def write(self) -> None:
        """Commit three events."""
        publish_committed(*[ParcelMoved(parcel=key) for key in sorted(self.random.sample(self.keys, 3))])

    def write_slowly(self) -> None:
        """Insert an event whose transaction ends later."""
        self.late.append(publish_late(ParcelMoved(parcel=f"{self.random.random()}")))

    def commit_late(self) -> None:
        """Commit or roll back one of the open transactions."""
        if self.late:
            late = self.late.pop(self.random.randrange(len(self.late)))
            late.commit() if self.random.random() < 0.8 else late.rollback()
            late.close()

    def silence(self) -> None:
        """Let a partition give no answer for a random number of steps."""
        self.silent[self.random.randrange(3)] = self.step + self.random.randint(20, 120)

    def fail(self) -> None:
        """Let the next one to three batches fail."""
        self.failing = self.random.randint(1, 3)

    def refuse(self) -> None:
        """Let Kafka refuse the records of a key."""
        self.poisoned.add(self.random.choice(self.keys).encode())

    def redrive(self) -> None:
        """Let Kafka accept all keys again and redrive the refused rows."""
        self.poisoned.clear()
        Outbox.objects.exclude(refused_reason=None).update(refused_reason=None)

    def choose_relay(self) -> Forwarder | None:
        """Return a random relay, or None if there is none."""
        return self.random.choice(self.relays) if self.relays else None

    def start(self) -> None:
        """Start a relay if there are fewer than three."""
        if len(self.relays) < 3:
            self.relays.append(Forwarder())

    def kill(self) -> None:
        """Remove a relay as SIGKILL does, and end its leases."""
        if relay := self.choose_relay():
            self.relays.remove(relay)
            relay._forget()  # a killed process loses its memory
            end_leases(relay.leases.owner)

    def stop(self) -> None:
        """Stop a relay cleanly."""
        if relay := self.choose_relay():
            self.relays.remove(relay)
            relay.stop()

    def freeze(self) -> None:
        """Freeze a relay for a random number of steps, and end its leases."""
        if relay := self.choose_relay():
            self.asleep[relay] = self.step + self.random.randint(10, 60)
            end_leases(relay.leases.owner)

    def end(self, seconds: float = 60) -> None:
        """End all faults and wait until each row is published.

        :raises AssertionError: rows are unpublished after `seconds`, or a relay has skipped a row.
        """
        self.silent.clear()
        self.asleep.clear()
        self.failing = 0
        while self.late:
            self.commit_late()
        self.redrive()
        self.start()
        deadline = time.monotonic() + seconds
        while waiting := Outbox.objects.filter(published_at=None).count():
            assert list(find_rows_left_behind()) == []
            assert time.monotonic() < deadline, f"{waiting} rows are not published"
            for relay in self.relays:
                self.forward(relay)

    def close(self) -> None:
        """Stop the relays and close the open transactions."""
        for relay in self.relays:
            with suppress(*TRANSIENT, LeaseLost):
                relay.stop()
        for late in self.late:
            late.close()
