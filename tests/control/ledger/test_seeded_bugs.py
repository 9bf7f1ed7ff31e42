"""The ledger finds each known bug of a relay or a consumer, and reports nothing for the same run without a bug."""

import os
from collections.abc import Callable

import pytest

from shop.control.ledger import passage
from shop.control.ledger.models import LedgerCheck, LedgerDifference
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
#: One bug of each kind; the long form takes all of them.
SAMPLE = [bugs.ignore_failed_futures, bugs.ignore_cursor]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger judge at once. The processes of a run have ended, so nothing is on its way."""
    for name in ("FRESH_SECONDS", "PATIENCE_SECONDS", "QUERY_SECONDS"):
        monkeypatch.setattr(passage, name, 0.0)
    monkeypatch.setattr("shop.control.ledger.checks.SHORTEST_SECONDS", 0)
    monkeypatch.setattr("shop.control.ledger.checks.LONGEST_SECONDS", 0)


def make_ledger(topic: str) -> Ledger:
    """Return a ledger of the harness's topic, consumer and effects."""
    trace = Trace(CONSUMER, "effect", "effect", "event_id", ("ParcelMoved",))
    return Ledger(parts={LedgerCheck.LOG: [topic], CONSUMER: [topic]}, traces=[trace], window_seconds=0.0)


class WatchedRun(Run):
    """A run that a ledger watches from the first event on."""

    def play_and_balance(self, *, rounds: int) -> set[str]:
        """Play the run, then work on the ledger. Return the kinds of its open differences."""
        from relay.operations import cluster

        cluster.create_topics([self.topic])
        ledger = make_ledger(self.topic)
        assert ledger.work()
        self.play()
        for _ in range(rounds):
            assert ledger.work()
        ledger.stop()
        return set(LedgerDifference.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_crashes_delays_and_repeats_are_no_difference() -> None:
    run = WatchedRun(SEED)
    assert run.play_and_balance(rounds=8) == set()
    assert LedgerCheck.objects.exclude(closed_at=None).exists()
    # The run refuses one oversized event, behind which the rows of its key wait.
    assert all(check.parked and not check.waiting for check in LedgerCheck.objects.filter(part="log", closed_at=None))


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
        LedgerDifference.objects.all().delete()
        found = run.play_and_balance(rounds=8)
        print(f"{bug.__name__}, seed {seed}: {found}")
        if FOUND[bug] in found:
            return
        from shop.control.ledger.models import LedgerState, LedgerWindow

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
