"""Random steps in random order never break the rules for orders, stock and money, in the model and in the real shop."""

import os

import pytest

from tests.simulation.machine import RealShop, Shop
from tests.simulation.running import simulate

SEED = int(os.environ["SEED"])
ALL = os.environ.get("SIMULATE") == "all"
#: Number of separate Hypothesis runs. One long run needs too much memory, because Hypothesis keeps all its choices.
TURNS = 50 if ALL else 1
RUNS = 2000
REAL_RUNS = 100 if ALL else 10


@pytest.mark.parametrize("turn", range(TURNS))
def test_random_steps_never_break_the_rules_of_the_model(turn: int) -> None:
    simulate(Shop, runs=RUNS, by_seed=SEED + turn)


@pytest.mark.timeout(900)
@pytest.mark.django_db
@pytest.mark.usefixtures("products")
def test_the_shop_on_postgresql_behaves_like_the_model() -> None:
    simulate(RealShop, runs=REAL_RUNS, by_seed=SEED, shrink=ALL)
