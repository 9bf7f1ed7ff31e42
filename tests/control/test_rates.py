"""Rates between two samples, measured capacities, and the predicted time to drain."""

from typing import Any

import pytest

from shop.control.rates import find_rates, learn_capacities, predict_drain


def make_figures(lag: int, applied: int, *, process: str = "inventory@host:1", **more: Any) -> dict[str, Any]:
    consumer = {"lag": lag, "parked_events": 0, "paused_at": "", **more}
    return {
        "consumers": {"inventory": consumer},
        "processes": [{"process": process, "name": "inventory", "counters": {"applied": applied}}],
    }


def test_rates_are_the_growth_of_counters_and_of_the_lag() -> None:
    rates = find_rates(make_figures(100, 1000), make_figures(150, 1500), 5.0)["consumers"]["inventory"]
    assert (rates["applied"], rates["arriving"]) == (100.0, 110.0)


def test_a_process_that_restarts_never_gives_a_negative_rate() -> None:
    rates = find_rates(make_figures(0, 9000), make_figures(0, 50, process="inventory@host:2"), 5.0)
    assert rates["consumers"]["inventory"]["applied"] == 10.0


def test_the_first_sample_has_unknown_rates() -> None:
    rates = find_rates(None, make_figures(0, 9000), 0.0)
    assert rates["consumers"]["inventory"] == {"applied": None, "repeated": None, "arriving": None}


def complete(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    now["rates"] = find_rates(before, now, 5.0)
    now["capacities"] = learn_capacities(before, now)
    return now


def test_capacity_is_learned_only_while_a_backlog_lasts() -> None:
    calm = complete(None, make_figures(0, 0))
    busy = complete(calm, make_figures(0, 500))
    assert busy["capacities"] == {}
    down = complete(busy, make_figures(6000, 500))
    assert predict_drain(down, "inventory") is None  # unknown, so no figure is shown
    catching_up = complete(down, make_figures(3000, 3500))
    assert catching_up["capacities"] == {"inventory": [600.0]}
    assert predict_drain(catching_up, "inventory") == 5.0


def test_a_backlog_that_grows_has_no_end() -> None:
    figures = make_figures(6000, 0)
    figures["rates"] = {"consumers": {"inventory": {"applied": 100.0, "arriving": 120.0, "repeated": 0.0}}}
    figures["capacities"] = {"inventory": [100.0]}
    assert predict_drain(figures, "inventory") is None


@pytest.mark.parametrize("paused", ["2026-11-30T10:00:00+00:00"])
def test_a_pause_teaches_nothing(paused: str) -> None:
    before = complete(None, make_figures(6000, 0))
    assert complete(before, make_figures(6000, 1000, paused_at=paused))["capacities"] == {}
