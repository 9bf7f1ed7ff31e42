"""The checks find no error in the relay, and find each known bug that a test plants in it."""

import os
from collections.abc import Callable

import pytest

from tests.faults import bugs
from tests.faults.checker import find_wrong
from tests.faults.harness import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts", "parcels")]

SEED = int(os.environ["SEED"])


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_crashes_delays_and_rollbacks_do_no_harm(seed: int) -> None:
    run = Run(seed)
    run.play()
    assert find_wrong(run.topic) == []


FOUND = {
    bugs.read_by_position: "lost",
    bugs.skip_locked: "inverted",
    bugs.ignore_failed_futures: "lost",
    bugs.commit_offset_before_effect: "not applied",
    bugs.ignore_cursor: "applied twice",
    bugs.commit_by_itself: "not applied",
    bugs.reset_to_latest: "not applied",
}


@pytest.mark.parametrize("bug", FOUND)
def test_a_known_bug_is_found(bug: Callable[[], None]) -> None:
    for seed in range(SEED, SEED + 6):
        run = Run(
            seed,
            bug,
            # A relay that takes over reads some rows again and would find the rows that the first relay missed.
            relays_crash=bug is not bugs.read_by_position,
            relays=1 if bug is bugs.read_by_position else 2,
            oversized=bug is bugs.ignore_failed_futures,
            quiet_seconds=4.0,
        )
        run.play()
        wrong = find_wrong(run.topic)
        print(f"{bug.__name__}, seed {seed}: {wrong}")
        if any(sentence.startswith(FOUND[bug]) for sentence in wrong):
            return
    raise AssertionError(f"not found with six seeds from {SEED}: {bug.__doc__}")
