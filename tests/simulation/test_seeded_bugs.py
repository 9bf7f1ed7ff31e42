"""The simulation and the races find each known bug that is patched into the shop."""

import os
from collections.abc import Callable

import pytest
from django.db import IntegrityError

from inventory.services import receive_stock
from orders.models import Order
from tests.simulation import bugs
from tests.simulation.machine import RealShop
from tests.simulation.model import SKUS
from tests.simulation.races import find_wrong, race_cancel_against_capture, race_for_stock
from tests.simulation.running import simulate

SEED = int(os.environ["SEED"])
Bug = Callable[[pytest.MonkeyPatch], None]
pytestmark = pytest.mark.usefixtures("products")


FOUND: dict[Bug, type[Exception]] = {
    bugs.take_random_gateway_key: AssertionError,
    bugs.store_key_before_the_work: Order.DoesNotExist,
    bugs.release_twice: AssertionError,
}


@pytest.mark.django_db
@pytest.mark.parametrize("bug", FOUND)
def test_the_simulation_finds_the_bug(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    with pytest.raises((FOUND[bug], IntegrityError)) as found:
        simulate(RealShop, runs=60, by_seed=SEED, shrink=False)
    print(f"{bug.__name__}: {type(found.value).__name__}: {found.value}"[:300])


@pytest.mark.django_db(transaction=True)
def test_the_race_for_stock_finds_read_then_write(monkeypatch: pytest.MonkeyPatch) -> None:
    for sku in SKUS:
        receive_stock(sku, 100, "for the race")
    bugs.read_then_write_stock(monkeypatch)
    race_for_stock(3, SEED)
    assert any("reserved, but its" in sentence for sentence in find_wrong())


@pytest.mark.django_db(transaction=True)
def test_the_race_of_cancel_and_capture_finds_a_missing_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    receive_stock("CUP", 100, "for the race")
    bugs.capture_without_lock(monkeypatch)
    with pytest.raises((AssertionError, IntegrityError)) as found:
        race_cancel_against_capture(40, SEED)
        assert find_wrong() == []
    print(f"{type(found.value).__name__}: {found.value}"[:300])
