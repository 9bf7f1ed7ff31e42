"""Rates between two samples, and the conditions under which a capacity is measured."""

from typing import Any

import pytest

from shop.control.rates import find_rates, learn_capacities

Figures = dict[str, Any]


def make_figures(lag: int, arrived: int, *, applied: int = 0, process: int = 1, began: int = 7, **more: Any) -> Figures:
    consumer = {"lag": lag, "arrived": arrived, "parked_events": 0, "paused_at": "", "exact": True, **more}
    row = {"process": f"inventory@host:{process}", "name": "inventory", "age": 1.0, "counters": {"applied": applied}}
    return {"arrivals": {"began": began}, "consumers": {"inventory": consumer}, "processes": [row]}


def complete(before: Figures | None, now: Figures, at: float) -> Figures:
    now["rates"] = find_rates(before, now, 5.0)
    learn_capacities(before, now, at)
    return now


def test_events_arrive_while_the_consumer_is_down() -> None:
    rates = find_rates(make_figures(100, 1000), make_figures(150, 1050), 5.0)["consumers"]["inventory"]
    assert (rates["arriving"], rates["applied"]) == (10.0, 0.0)


def test_an_arrived_event_is_applied_or_waits() -> None:
    rates = find_rates(make_figures(100, 1000), make_figures(150, 1550), 5.0)["consumers"]["inventory"]
    assert (rates["arriving"], rates["applied"]) == (110.0, 100.0)


@pytest.mark.parametrize("before", [None, make_figures(0, 9000, began=3)])
def test_rates_are_unknown_before_the_count_of_arrivals_continues(before: Figures | None) -> None:
    rates = find_rates(before, make_figures(0, 10), 5.0)["consumers"]["inventory"]
    assert (rates["applied"], rates["arriving"], rates["steady"]) == (None, None, None)


def test_the_rate_of_arrival_is_smoothed() -> None:
    calm = complete(
        make_figures(0, 0) | {"rates": {"consumers": {"inventory": {"steady": 10.0}}}}, make_figures(0, 50), 5
    )
    busy = complete(calm, make_figures(0, 550), 10)["rates"]["consumers"]["inventory"]
    assert busy["arriving"] == 100.0
    assert 30 < busy["steady"] < 45


def test_the_capacity_is_measured_only_while_a_backlog_lasts() -> None:
    calm = complete(make_figures(0, 0), make_figures(0, 50), 5)
    busy = complete(calm, make_figures(0, 500), 10)
    assert busy["capacities"] == {}
    full = complete(busy, make_figures(6000, 7000), 15)
    catching_up = complete(full, make_figures(3000, 7050), 20)
    assert catching_up["capacities"] == {"inventory": [610.0]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"paused_at": "2026-11-30T10:00:00+00:00"}, {}),
        ({}, {"paused_at": "2026-11-30T10:00:00+00:00"}),
        ({}, {"process": 2}),  # a restart
        ({"exact": False}, {"exact": False}),  # an estimate may fall although the consumer is down
        ({"began": 3}, {}),
    ],
)
def test_a_consumer_that_may_not_have_worked_teaches_nothing(first: Figures, second: Figures) -> None:
    before = complete(make_figures(5900, 0), make_figures(6000, 100, **first), 5)
    assert complete(before, make_figures(3000, 200, **second), 10)["capacities"] == {}
