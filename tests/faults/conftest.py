"""Fixtures for fault tests. FAULTS=all runs the long forms (`make faults`); otherwise SEED selects a sample."""

import os
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from relay.publisher.topics import known_events
from tests.client import Customer, OrderStream, make_order
from tests.faults.counting import give_stock
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


@pytest.fixture
def parcels(settings: Settings) -> Iterator[None]:
    """Register ParcelMoved as the relay's only event."""
    settings.RELAY = {**settings.RELAY, "EVENTS": ["tests.faults.parcels"], "PARTITIONS": 3, "CANARY_SECONDS": 0}
    known_events.cache_clear()
    yield
    known_events.cache_clear()


@pytest.fixture
def stream(running_shop: RunningShop) -> Iterator[OrderStream]:
    """Yield a stream of orders to start, in a shop with enough stock."""
    sku = find_sku(running_shop)
    give_stock(running_shop, sku)
    yield OrderStream(Customer(running_shop.base_url), make_order((sku, 1)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed and, after the long forms, the duration of each case."""
    reports = [report for status in ("passed", "failed") for report in terminalreporter.getreports(status)]
    cases = [report for report in reports if report.when == "call" and "tests/faults/" in report.nodeid]
    if not cases:
        return
    terminalreporter.section("faults")
    if os.environ.get("FAULTS") == "all":
        for case in sorted(cases, key=lambda case: case.nodeid):
            terminalreporter.line(
                f"{case.duration:7.1f} s  {case.outcome:<7}{case.nodeid.removeprefix('tests/faults/')}"
            )
    terminalreporter.line(f"seed: {os.environ['SEED']} (SEED={os.environ['SEED']} repeats it)")
