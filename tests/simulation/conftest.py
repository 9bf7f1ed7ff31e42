"""Fixtures of the simulated shop. `SIMULATE=all` runs the long form (`make simulate`); `SEED` chooses the runs."""

import os
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from pytest_django.fixtures import Settings

from inventory.services import receive_opening_stock
from shop.catalogue.models import Category, Product
from tests.simulation.model import OPENING, SKUS

set_hypothesis_home_dir(Path(os.environ["VAR_DIR"]) / "hypothesis")


@pytest.fixture
def products(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create the products and their stock. Replace the gateway and the doorbell by fakes in this process."""
    settings.PAYMENT_GATEWAY = "tests.simulation.gateway.Books"
    monkeypatch.setattr("shop.workqueue.doorbell._ring_now", lambda task, *args: None)
    category = Category.objects.create(slug="kitchen", name="Kitchen")
    for sku in SKUS:
        Product.objects.create(sku=sku, name=sku.title(), price=1250, category=category)
    receive_opening_stock(dict.fromkeys(SKUS, OPENING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed if a simulation failed."""
    if any("tests/simulation/" in report.nodeid for report in terminalreporter.getreports("failed")):
        terminalreporter.line(f"simulation: repeat this run with SEED={os.environ['SEED']}")
