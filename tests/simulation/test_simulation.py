"""Orders, stock and money come out right whatever happens in whatever order: on the model, and on the shop itself."""

import os

import pytest

from tests.simulation.machine import RealShop, Shop
from tests.simulation.running import simulate

SEED = int(os.environ["SEED"])
ALL = os.environ.get("SIMULATE") == "all"
#: In turns, since Hypothesis remembers all that it has drawn.
TURNS = 50 if ALL else 1
RUNS = 2000
REAL_RUNS = 100 if ALL else 10


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_model_keeps_its_rules_whatever_happens(turn: int) -> None:
    simulate(Shop, runs=RUNS, by_seed=SEED + turn)


@pytest.mark.timeout(900)
@pytest.mark.django_db
@pytest.mark.usefixtures("products")
def test_the_shop_does_on_postgresql_what_the_model_does() -> None:
    simulate(RealShop, runs=REAL_RUNS, by_seed=SEED, shrink=ALL)
