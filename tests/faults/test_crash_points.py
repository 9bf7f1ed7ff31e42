"""Each labelled point of relay and consumers x kill, exception, freeze x before, after, while orders arrive."""

import itertools
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from shop.embedded.parts import CONSUMERS
from tests.client import OrderStream
from tests.faults.counting import assert_nothing_lost
from tests.faults.failing import Point
from tests.prefork import Prefork
from tests.running_shop import BASE_DIR, RunningShop

# The labels in the order in which a process reaches them.
LABELS = (
    "relay.leased",
    "relay.fetched",
    "relay.queued",
    "relay.sent",
    "relay.marked",
    "consumer.applied",
    "consumer.committed",
    "consumer.processed",
)
ALL = [
    Point(label, kind, when)
    for label, kind, when in itertools.product(LABELS, ("kill", "exception", "freeze"), ("before", "after"))
] + [Point(label, "long-freeze", "before") for label in LABELS]
PROCESSES = ("relay.", "consumer.")
SIGKILLED = -9
SEED = os.environ["SEED"]


def choose() -> list[Point]:
    """Return all points, or a sample: a kill of a relay, a kill of a consumer, and two short other faults."""
    if os.environ.get("FAULTS") == "all":
        return ALL
    random = Random(SEED)
    kills = [[point for point in ALL if point.kind == "kill" and point.label.startswith(app)] for app in PROCESSES]
    others = [point for point in ALL if point.kind in ("exception", "freeze")]
    return [*map(random.choice, kills), *random.sample(others, 2)]


@pytest.fixture(scope="module")
def faulty(running_shop: RunningShop) -> Iterator[Prefork]:
    """Yield a second command process, so that the shop's own commands can run during a fault."""
    prefork = Prefork(running_shop.environment)
    yield prefork
    prefork.close()


@pytest.mark.parametrize("point", choose(), ids=str)
def test_a_process_fails(running_shop: RunningShop, faulty: Prefork, stream: OrderStream, point: Point) -> None:
    part = "relay" if point.label.startswith("relay.") else Random(f"{SEED} {point}").choice(CONSUMERS)
    command = "run_relay" if part == "relay" else f"consume_{part}"
    print(f"{part}, SEED={SEED}")
    happened = running_shop.var_dir / "run" / "fault"
    happened.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as executor, stream:
        running_shop.part_stop(part)
        ended = executor.submit(faulty.run, command, point=str(point), timeout=60)
        deadline = time.monotonic() + 30
        while not happened.exists():
            assert time.monotonic() < deadline and not ended.done(), f"{command} never reached {point}: {ended}"
            time.sleep(0.02)
        # The healthy process takes over during the freeze and works when the frozen process continues.
        running_shop.part_start(part)
        result = ended.result()
        time.sleep(0.5)
    if point.kind == "kill":
        assert result.returncode == SIGKILLED, result.stderr
    elif point.kind != "exception":
        assert result.returncode == 0, result.stderr
    assert_nothing_lost(running_shop, stream)


def test_every_label_is_listed() -> None:
    sources = [path.read_text() for path in (BASE_DIR / "relay").rglob("*.py")]
    assert {label for source in sources for label in re.findall(r'failpoint\("([^"]+)"\)', source)} == set(LABELS)
