"""Fixtures for fault tests. FAULTS=all runs the long forms (`make faults`); otherwise SEED selects a sample."""

import os
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from relay.publisher.topics import known_events
from tests.client import Customer, OrderStream, make_order
from tests.faults.brokers import make_cluster_shop
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


@pytest.fixture(scope="session")
def cluster_shop() -> Iterator[RunningShop]:
    """Yield a separate shop with three brokers that may still be starting. Other tests run during its start."""
    shop = make_cluster_shop()
    shop.end_leftovers()
    shop.begin()
    yield shop
    shop.stop(in_haste=True)


@pytest.fixture(scope="module")
def cluster_shop_meanwhile(request: pytest.FixtureRequest) -> None:
    """Start the shop with three brokers during the tests of this module if later tests need it."""
    if any("cluster_shop" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("cluster_shop")


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
