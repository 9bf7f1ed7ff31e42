"""A harness of writer, relay and consumer processes with delays and crashes at labelled points.

The seed determines each decision except the scheduling of the processes.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from django.core.management import call_command
from django.db import connection, transaction

from relay import Consumer, publish
from relay.consumer.command import ConsumeCommand
from relay.forwarder import lease
from relay.operations import cluster
from relay.process import failpoint
from tests.faults.disturbance import make_disturbance, remember_sources
from tests.faults.parcels import ParcelMoved

CONSUMER = "depot"
KEYS_AT_A_TIME = 4
ROLLED_BACK = 0.1
LONGEST_SECONDS = 120.0


class RolledBack(Exception):
    """A writer rolls its transaction back."""


def do_nothing() -> None:
    """Patch nothing: the code without a bug."""


@dataclass
class Run:
    """One run. `bug` patches the code under test in each process.

    A run ends when all events are applied, or after `quiet_seconds` without progress.
    """

    seed: int
    bug: Callable[[], None] = do_nothing
    transactions: int = 35
    writers: int = 3
    relays: int = 2
    relays_crash: bool = True
    oversized: bool = True
    quiet_seconds: float = 25.0
    _children: dict[int, tuple[str, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ParcelMoved.topic = f"test.parcels-{self.seed}-{os.urandom(3).hex()}"
        self.topic = ParcelMoved.topic

    def play(self) -> None:
        """Start the processes and wait for the end of the run."""
        cluster.create_topics([self.topic])
        with connection.cursor() as cursor:
            cursor.execute("drop table if exists effect")
            cursor.execute("create table effect (id bigserial primary key, key text, event_id uuid)")
        with transaction.atomic():
            publish(ParcelMoved(parcel="first"))
        try:
            for number in range(self.relays):
                self._fork("relay", number)
            self._wait_until_published()  # a later consumer group still begins with the first record
            # Writers start only when a relay reads, so that late commits happen between two reads.
            for number in range(self.writers):
                self._fork("writer", number)
            self._fork("consumer", 0)
            self._watch()
        finally:
            self._stop()

    def _watch(self) -> None:
        began = moved_at = time.monotonic()
        before: tuple[int, ...] = ()
        while time.monotonic() - began < LONGEST_SECONDS:
            self._restart_the_dead()
            progress = read_progress(self.topic)
            if progress != before or self._count("writer"):
                before, moved_at = progress, time.monotonic()
            unpublished, committed, effects = progress
            if not self._count("writer") and unpublished == 0 and effects == committed:
                return
            if time.monotonic() - moved_at > self.quiet_seconds:
                return
            time.sleep(0.05)

    def _wait_until_published(self, seconds: float = 20.0) -> None:
        """Wait until a row is published. The first relays may crash before that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._restart_the_dead()
            with connection.cursor() as cursor:
                cursor.execute("select from relay_outbox where published_at is not null limit 1")
                if cursor.fetchone() is not None:
                    return
            time.sleep(0.05)
        raise AssertionError(f"nothing was published in {seconds:g} s")

    def _count(self, role: str) -> int:
        return sum(child[0] == role for child in self._children.values())

    def _restart_the_dead(self) -> None:
        for pid, (role, number, life) in list(self._children.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._children[pid]
                if role != "writer":
                    self._fork(role, number, life + 1)

    def _stop(self) -> None:
        for signum, seconds in ((signal.SIGTERM, 6.0), (signal.SIGKILL, 6.0)):
            for pid in self._children:
                os.kill(pid, signum)
            deadline = time.monotonic() + seconds
            while self._children and time.monotonic() < deadline:
                for pid in list(self._children):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        del self._children[pid]
                time.sleep(0.02)

    def _fork(self, role: str, number: int, life: int = 0) -> None:
        connection.close()  # parent and child would share an inherited connection
        pid = os.fork()
        if pid:
            self._children[pid] = (role, number, life)
            return
        code = 1
        try:
            random = Random(f"{self.seed} {role} {number} {life}")
            self.bug()
            # Short leases let another relay take over one second after a kill.
            lease.read_lease_seconds, lease.RENEW_SECONDS = lambda: 1.0, 0.2
            if role == "writer":
                self._write(random)
            else:
                failpoint.hook = make_disturbance(role, life, random, crashes=self.relays_crash or role == "consumer")
                self._serve(role)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _serve(self, role: str) -> None:
        if role == "relay":
            call_command("run_relay")
            return
        remember_sources()
        consumer = Consumer(CONSUMER)
        consumer.on(ParcelMoved)(note_effect)
        command = ConsumeCommand()
        command.consumer = consumer
        call_command(command)

    def _write(self, random: Random) -> None:
        from relay.publisher import outbox

        outbox.MAX_EVENT_BYTES = 4_000_000
        for number in range(self.transactions):
            # Many keys are short: no later event reveals and heals a loss at the end of a key.
            short = random.random() < 0.4
            key = f"{random.random()}" if short else f"{number // 8}-{random.randrange(KEYS_AT_A_TIME)}"
            try:
                with transaction.atomic():
                    for _ in range(random.randint(1, 3)):
                        publish(ParcelMoved(parcel=key))
                    time.sleep(random.random() * 0.03)
                    if random.random() < ROLLED_BACK:
                        raise RolledBack
            except RolledBack:
                pass
        if self.oversized:
            with transaction.atomic():
                # Random text does not compress below the broker's limit.
                publish(ParcelMoved(parcel=f"oversized-{random.random()}", padding=os.urandom(1_000_000).hex()))
                publish(ParcelMoved(parcel="small", padding="sent next to it"))


def note_effect(event: ParcelMoved) -> None:
    """Handle an event by inserting its effect."""
    with connection.cursor() as cursor:
        cursor.execute("insert into effect (key, event_id) values (%s, %s)", [event.key, event.event_id])


def read_progress(topic: str) -> tuple[int, int, int]:
    """Return the numbers of unpublished rows, committed rows and events with an effect. Omit keys with refused rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) filter (where published_at is null), count(*),"
            " (select count(distinct event_id) from effect)"
            " from relay_outbox o where topic = %s and not exists (select from relay_outbox r"
            " where r.refused_reason is not null and r.topic = o.topic and r.key = o.key)",
            [topic],
        )
        row = cursor.fetchone()
    return row[0], row[1], row[2]
