"""The checks that find nothing in the relay find each of the bugs that such programs are known to have."""

import os
from collections.abc import Callable, Iterator

import pytest
from pytest_django.fixtures import Settings

from relay.topics import known_events
from tests.faults import bugs
from tests.faults.checker import find_wrong
from tests.faults.harness import Run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]

SEED = int(os.environ["SEED"])


@pytest.fixture(autouse=True)
def parcels(settings: Settings) -> Iterator[None]:
    """Let the relay know parcels and nothing else."""
    settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.faults.parcels"], "PARTITIONS": 3, "CANARY_SECONDS": 0}
    known_events.cache_clear()
    yield
    known_events.cache_clear()


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_crashes_delays_and_rollbacks_do_no_harm(seed: int) -> None:
    run = Run(seed)
    run.play()
    assert find_wrong(run.topic) == []


@pytest.mark.parametrize(
    ("bug", "found"),
    [
        (bugs.read_by_position, "lost"),
        (bugs.skip_locked, "inverted"),
        (bugs.ignore_failed_futures, "lost"),
        (bugs.commit_offset_before_effect, "not applied"),
        (bugs.ignore_cursor, "applied twice"),
        (bugs.commit_by_itself, "not applied"),
        (bugs.reset_to_latest, "not applied"),
    ],
)
def test_a_known_bug_is_found(bug: Callable[[], None], found: str) -> None:
    for seed in range(SEED, SEED + 3):
        run = Run(seed, bug)
        run.play()
        wrong = find_wrong(run.topic)
        print(bug.__name__, "seed", seed, len(wrong), wrong[:2])
        if any(sentence.startswith(found) for sentence in wrong):
            return
    raise AssertionError(f"not found with three seeds from {SEED}: {bug.__doc__}")
