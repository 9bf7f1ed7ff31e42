"""Writers, relays and a consumer as processes that are slow and crash at labelled points; then everything is counted.

Every decision follows from the seed, apart from what the machine decides: who runs when.
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
    """A writer changes its mind."""


def do_nothing() -> None:
    """The code as it is: no bug."""


@dataclass
class Run:
    """One run. `bug` patches the product's code in every process.

    It ends when everything is applied, or after nothing has moved for `quiet_seconds`.
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
        """Run it to its end."""
        cluster.create_topics([self.topic])
        with connection.cursor() as cursor:
            cursor.execute("drop table if exists effect")
            cursor.execute("create table effect (id bigserial primary key, key text, event_id uuid)")
        with transaction.atomic():
            publish(ParcelMoved(parcel="first"))
        try:
            for number in range(self.relays):
                self._fork("relay", number)
            self._wait_until_published()  # a group that comes later begins with the first record all the same
            # Now that a relay reads: what commits late must do so between two reads.
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
        """Wait until a first row is published, perhaps not by the first relays."""
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
        connection.close()  # a connection that a child inherits would be shared
        pid = os.fork()
        if pid:
            self._children[pid] = (role, number, life)
            return
        code = 1
        try:
            random = Random(f"{self.seed} {role} {number} {life}")
            self.bug()
            # A relay that was killed is replaced after a second.
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
            # Many keys end early: what is lost at the end of a key is not revealed, and healed, by a later event.
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
                publish(ParcelMoved(parcel="small", padding="sent beside it"))


def note_effect(event: ParcelMoved) -> None:
    """The consumer's handler."""
    with connection.cursor() as cursor:
        cursor.execute("insert into effect (key, event_id) values (%s, %s)", [event.key, event.event_id])


def read_progress(topic: str) -> tuple[int, int, int]:
    """Return how many rows are not published, how many are committed, and how many events have an effect.

    Keys that Kafka refuses are left out: they wait for a person.
    """
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
