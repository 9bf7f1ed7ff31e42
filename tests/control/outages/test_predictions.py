"""Predictions over simulated outages with fixed seeds: the errors stay within the limits, and unknown is unknown."""

import pytest

from shop.control.outages.description import describe_prediction
from shop.control.outages.lessons import find_drains
from shop.control.prediction import Course, Drain
from tests.control.outages.simulation import Simulation

pytestmark = pytest.mark.django_db

#: Waiting events and capacities of former drains, newest first.
SIZES = [(2_000, 1400), (2_500, 1300), (3_000, 1200), (24_000, 1000), (2_600, 1100)]


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
    assert describe_prediction(shop.figures, "inventory").startswith("Unknown in the first outage")
    first = shop.finish_outage()
    assert (first.predicted_away, first.predicted_back) == (None, None)
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


def test_a_drain_lasts_until_the_follow_ups_of_the_backlog_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inventory applies its backlog in 6 s, and then waits for the confirmations, which other consumers cause."""
    shop = Simulation(monkeypatch, orders=20, mu=2000, seed=7, saga=500)
    shop.run(60)
    for number in range(2):
        let_out(shop, 600)
        outage = shop.finish_outage()
        assert outage.drain_seconds == pytest.approx(3 + 12_000 / (500 - 20), rel=0.1)
        assert outage.work == pytest.approx(2 * 12_000, rel=0.1)
        if number:
            assert outage.score_away is not None
            assert outage.score_back is not None
            assert outage.score_away >= 80, (outage.predicted_away, outage.drain_seconds)
            assert outage.score_back >= 90, (outage.predicted_back, outage.drain_seconds)
        shop.run(60)


def test_a_drain_ends_although_more_orders_arrive_than_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Simulation(monkeypatch, orders=20, mu=2000, seed=8)
    shop.run(60)
    let_out(shop, 60)
    shop.orders = 200
    outage = shop.finish_outage()
    assert outage.drain_seconds == pytest.approx(5, abs=3)


def test_while_the_consumer_is_away_the_page_says_what_each_minute_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Simulation(monkeypatch, orders=20, mu=300, seed=4)
    shop.run(30)
    now = shop.figures
    assert describe_prediction(now, "inventory").startswith("Unknown until the first backlog")
    for _outage in range(2):
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


def test_a_drain_of_similar_size_teaches_more_than_newer_ones() -> None:
    drains = [{"waiting": waiting, "start": 0.5, "capacity": mu, "half": 0.5} for waiting, mu in SIZES]
    figures = {"lessons": {"inventory": {"follow": 1.0, "drains": drains}}}
    assert [drain["capacity"] for drain in find_drains(figures, "inventory", 20_000)] == [1000]
    assert [drain["capacity"] for drain in find_drains(figures, "inventory", 3_000)] == [1400, 1300, 1200]
    assert [drain["capacity"] for drain in find_drains(figures, "inventory", 900_000)] == [1000]
    assert find_drains({}, "inventory", 900) == []


def test_the_course_of_a_drain_corrects_its_prediction() -> None:
    drain = Drain(work=10_000, rate=0.0, start=1.0)
    assert drain.predict(500) == 21
    assert Course(elapsed=1.0, applied=0, waiting=10_000, half=0.5).correct(drain, 500) == pytest.approx(20)
    as_expected = Course(elapsed=11.0, applied=5_000, waiting=5_000, half=0.5)
    assert as_expected.correct(drain, 500) == pytest.approx(10)
    late = Course(elapsed=31.0, applied=5_000, waiting=5_000, half=0.5)
    assert late.correct(drain, 500) == pytest.approx(30), "half of the events took 30 s: the course alone counts"
    first_half_is_quick = Course(elapsed=5.0, applied=5_000, waiting=5_000, half=0.2)
    assert first_half_is_quick.correct(drain, 500) == pytest.approx(16), "a quick first half was expected"


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
