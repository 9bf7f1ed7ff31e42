"""The arithmetic of the synchronous shop, the stream of orders and the curves: pure functions, no shop."""

from itertools import pairwise

import pytest

from shop.lab.arrivals import Stream
from shop.lab.charts import draw_charts
from shop.lab.goals import is_near
from shop.lab.scenarios import SCENARIOS
from shop.lab.seed.queue import predict_drain, simulate
from shop.lab.switches import Switch


def test_ten_minutes_of_outage_become_two_hours_of_backlog() -> None:
    assert predict_drain(600) == pytest.approx(7200)
    found = simulate(rate=20, outage_seconds=600, seed=1)
    assert found.predicted == pytest.approx(120)
    assert is_near(found.mean, 120)
    assert found.shortest < 120 < found.longest
    # A consumer that is 50 % faster would need 20 minutes: the simulation follows the speed.
    assert predict_drain(600, speed=1.5) == pytest.approx(1200)


def test_the_same_seed_gives_the_same_orders_at_the_same_times() -> None:
    orders = list(Stream(7, rate=50, seconds=20))
    assert orders == list(Stream(7, rate=50, seconds=20))
    assert orders != list(Stream(8, rate=50, seconds=20))
    assert 850 < len(orders) < 1150
    assert all(earlier.due <= later.due < 20 for earlier, later in pairwise(orders))


def test_a_ramp_grows_and_a_stream_is_bounded() -> None:
    orders = list(Stream(1, rate=10, seconds=60, last_rate=100))
    thirds = [sum(n * 20 <= order.due < n * 20 + 20 for order in orders) for n in range(3)]
    assert thirds[0] < thirds[1] < thirds[2]
    assert len(list(Stream(1, rate=10, seconds=60, last_rate=100, most=5))) == 5


def test_an_outage_takes_ten_of_fifteen_minutes_at_each_time_factor() -> None:
    for factor in (1, 10, 60):
        (switch,) = SCENARIOS["inventory"].plan(20, factor, 900).switches
        assert (switch[2] - switch[1]) * factor == pytest.approx(600)


def test_curves_cover_the_run_and_mark_the_outage() -> None:
    rows = [
        {"second": n, "asked": 20, "ok": 20 - n, "failed": n, "p50": 0.6, "p95": 0.6, "waiting": n} for n in range(10)
    ]
    off = Switch(1, "inventory", 5.0, 7.0, None, None, None)
    orders, waits, waiting = draw_charts(rows, [off], 10, 10, "seed")
    assert [curve.last for curve in orders.curves] == ["20/s", "11/s", "9/s"]
    assert waits.curves[1].last == "6 s"  # 0.6 real seconds are 6 seconds of the synchronous shop
    assert orders.ends_at == "1:40"
    ((left, width),) = orders.bands
    assert left == 46 + 434 * 0.5
    assert width == pytest.approx(434 * 0.2, abs=0.2)
    assert "customers now 9" in waiting.label
