"""Predictions over simulated outages with fixed seeds: the errors stay within the limits, and unknown is unknown."""

import pytest

from shop.control.outages.description import describe_prediction
from tests.control.outages.simulation import Simulation

pytestmark = pytest.mark.django_db


def let_out(shop: Simulation, seconds: float) -> None:
    shop.stop()
    shop.run(seconds)
    shop.start()


@pytest.mark.parametrize("seed", [1, 3])
def test_outages_of_one_and_ten_minutes_are_predicted_after_a_first_one(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    shop = Simulation(monkeypatch, orders=20, mu=300, seed=seed)
    shop.run(60)
    assert shop.figures["predictions"] == {}, "nothing is predicted while the capacity is unknown"
    let_out(shop, 60)
    first = shop.finish_outage()
    assert (first.predicted_away, first.score_away) == (None, None)
    for seconds in (60, 600):
        shop.run(60)
        let_out(shop, seconds)
        outage = shop.finish_outage()
        assert outage.away_seconds == pytest.approx(seconds, abs=3)
        assert outage.most_waiting == pytest.approx(20 * seconds, rel=0.25)
        assert outage.score_away is not None
        assert outage.score_back is not None
        assert outage.score_away >= 80, (outage.predicted_away, outage.drain_seconds)
        assert outage.score_back >= 90, (outage.predicted_back, outage.drain_seconds)


def test_while_the_consumer_is_away_the_page_says_what_each_minute_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Simulation(monkeypatch, orders=20, mu=300, seed=4)
    shop.run(30)
    now = shop.figures
    assert describe_prediction(now, "inventory").startswith("Unknown until the first backlog")
    let_out(shop, 60)
    shop.finish_outage()
    shop.run(60)
    shop.stop()
    shop.run(120)
    now = shop.figures
    rates = now["rates"]["consumers"]["inventory"]
    assert rates["steady"] == pytest.approx(20, rel=0.2), "events arrive while the consumer is away"
    assert rates["applied"] == 0
    prediction = now["predictions"]["inventory"]
    assert prediction["low"] < prediction["seconds"] < prediction["high"]
    # Each minute brings 1,200 orders, and as many confirmations: 2,400 events, at 260 more per second than arrive.
    assert prediction["per_minute"] == pytest.approx(60 * 40 / 260, rel=0.25)
    assert describe_prediction(now, "inventory").startswith("If it came back now:")
    assert "Each further minute adds" in describe_prediction(now, "inventory")


def test_a_backlog_that_exceeds_the_capacity_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Simulation(monkeypatch, orders=60, mu=80, seed=5)
    shop.run(60)
    now = shop.figures
    assert now["predictions"]["inventory"]["seconds"] is None
    assert now["predictions"]["inventory"]["growth"] > 0
    assert describe_prediction(now, "inventory").startswith("The backlog grows by")


def test_a_burst_teaches_the_capacity_without_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Simulation(monkeypatch, orders=20, mu=300, seed=6)
    shop.run(20)
    shop.orders = 400
    shop.run(10)
    shop.orders = 20
    shop.run(60)
    assert shop.figures["predictions"]["inventory"]["seconds"] is not None
    assert describe_prediction(shop.figures, "inventory") == "Nothing to catch up."
