"""The ledger finds each known bug of a relay or a consumer, and removed, repeated and deleted rows and records.

A run of the harness without a bug, with its crashes and repeats, has no difference.
"""

import math
import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from kafka import KafkaAdminClient, TopicPartition

from relay.consumer.deliveries import Delivery
from relay.consumer.tail import Tail
from relay.operations import Refused, cluster
from relay.process.connection import read_connection
from shop.control.ledger import passage
from shop.control.ledger.checks import accept
from shop.control.ledger.models import LedgerCheck, LedgerDifference, LedgerState, LedgerWindow
from shop.control.ledger.round import Ledger
from shop.control.ledger.traces import Trace
from tests.faults import bugs
from tests.faults.conftest import parcels as parcels
from tests.faults.harness import CONSUMER, Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts", "parcels")]

SEED = int(os.environ["SEED"])
Kind = LedgerDifference.Kind
FOUND = {
    bugs.read_by_position: Kind.unsent,
    bugs.skip_locked: Kind.inverted,
    bugs.ignore_failed_futures: Kind.lost,
    bugs.commit_offset_before_effect: Kind.unapplied,
    bugs.ignore_cursor: Kind.doubled,
    bugs.commit_by_itself: Kind.unapplied,
    bugs.reset_to_latest: Kind.unapplied,
}
#: The sample of `make test`; the long form takes the other bugs.
SAMPLE = [bugs.ignore_failed_futures]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger judge at once. The processes of a run have ended, so nothing is on its way."""
    for name in ("FRESH_SECONDS", "PATIENCE_SECONDS", "QUERY_SECONDS"):
        monkeypatch.setattr(passage, name, 0.0)
    monkeypatch.setattr("shop.control.ledger.checks.SHORTEST_SECONDS", 0)
    monkeypatch.setattr("shop.control.ledger.checks.LONGEST_SECONDS", 0)
    monkeypatch.setattr("shop.control.ledger.audit.PAUSE", timedelta(0))
    monkeypatch.setattr("shop.control.ledger.round.AUDIT_SHARE", math.inf)


def make_ledger(topic: str) -> Ledger:
    """Return a ledger of the harness's topic, consumer and effects."""
    trace = Trace(CONSUMER, "effect", "effect", "event_id", ("ParcelMoved",))
    return Ledger(parts={LedgerCheck.LOG: [topic], CONSUMER: [topic]}, traces=[trace], window_seconds=0.0)


class WatchedRun(Run):
    """A run that a ledger watches from the first event on."""

    def play_and_balance(self, *, rounds: int = 8) -> Ledger:
        """Play the run, then work on the ledger, and return it."""
        cluster.create_topics([self.topic])
        ledger = make_ledger(self.topic)
        assert ledger.work()
        self.play()
        work(ledger, rounds)
        return ledger


def work(ledger: Ledger, rounds: int = 3) -> None:
    for _ in range(rounds):
        assert ledger.work()


def read_kinds() -> set[str]:
    return set(LedgerDifference.objects.filter(closed_at=None).values_list("kind", flat=True))


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_only_damage_is_a_difference_and_it_is_closed_when_it_heals() -> None:
    run = WatchedRun(SEED)
    ledger = run.play_and_balance()
    assert read_kinds() == set(), "crashes, delays, rollbacks and repeats are no difference"
    # The run refuses one oversized event, behind which the rows of its key wait.
    left = LedgerCheck.objects.filter(closed_at=None)
    assert [(check.waiting, check.lost, check.doubled) for check in left] == [(0, 0, 0)] * len(left)

    execute("create temporary table kept as select * from effect where id = (select max(id) from effect)")
    execute("delete from effect where id in (select id from kept)")
    execute(
        "insert into effect (key, event_id) select key, event_id from effect where id = (select min(id) from effect)"
    )
    work(ledger)
    assert read_kinds() == {Kind.missing, Kind.doubled}
    execute("insert into effect select * from kept")
    execute("delete from effect where id = (select max(id) from effect where id not in (select id from kept))")
    work(ledger)
    assert read_kinds() == set()

    delete_first_event(run.topic)
    work(ledger)
    assert read_kinds() == {Kind.lost}
    lost = LedgerCheck.objects.get(part="log", lost__gt=0)
    with pytest.raises(Refused, match="a reason is needed"):
        accept(lost.window, "log", by="ada", reason=" ")
    assert accept(lost.window, "log", by="ada", reason="deleted by hand") == lost.lost
    work(ledger)
    assert read_kinds() == set()
    # Another process continues at the stored offsets when the first one stops, and not before.
    second = make_ledger(run.topic)
    assert not second.work()
    ledger.stop()
    work(second)
    assert read_kinds() == set()
    second.stop()


def delete_first_event(topic: str) -> None:
    """Let Kafka delete the oldest records of a partition, up to the first event that is in the log only once.

    A crash repeats records, and an event with a repeat is not lost.
    """
    admin = KafkaAdminClient(**read_connection())
    reader = Tail([topic], client_id="test", starts={(topic, 0): 0})
    try:
        ends = {spot: end for spot, (_, end) in reader.read_bounds().items()}
        records: list[Delivery] = []
        while any(reader.read_positions()[spot] < end for spot, end in ends.items()):
            records += reader.poll(seconds=0.2)
        copies = Counter(record.event_id for record in records)
        first = min((record for record in records if copies[record.event_id] == 1), key=lambda record: record.offset)
        admin.delete_records({TopicPartition(topic, first.partition): first.offset + 1})
    finally:
        reader.close()
        admin.close()


def find_bug(bug: Callable[[], None]) -> None:
    """Play runs with `bug` until the ledger finds it.

    :raises AssertionError: six runs did not show it.
    """
    for seed in range(SEED, SEED + 6):
        run = WatchedRun(
            seed,
            bug,
            relays_crash=bug is not bugs.read_by_position,
            relays=1 if bug is bugs.read_by_position else 2,
            oversized=bug is bugs.ignore_failed_futures,
            quiet_seconds=4.0,
        )
        run.play_and_balance().stop()
        found = read_kinds()
        print(f"{bug.__name__}, seed {seed}: {found}")
        if FOUND[bug] in found:
            return
        LedgerWindow.objects.all().delete()
        LedgerState.objects.all().delete()
    raise AssertionError(f"not found with six seeds from {SEED}: {bug.__doc__}")


@pytest.mark.parametrize("bug", SAMPLE)
def test_a_known_bug_is_found(bug: Callable[[], None]) -> None:
    find_bug(bug)


@pytest.mark.long
@pytest.mark.parametrize("bug", [bug for bug in FOUND if bug not in SAMPLE])
def test_each_other_known_bug_is_found(bug: Callable[[], None]) -> None:
    find_bug(bug)
