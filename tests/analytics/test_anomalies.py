"""Unusual times: a drop is found within ten minutes, and chance alone raises less than one alarm per week."""

import math
from random import Random

import pytest

from analytics.panels.anomalies import PER_WEEK, find_anomalies
from shop.management.demo.curve import HOURS, draw_count

WEEKS = 4


def find_rate(place: int, per_minute: float) -> float:
    """Return the expected orders of a bucket of five minutes: a daily curve with the mean `per_minute`."""
    hour = place % 288 / 12
    low, share = HOURS[int(hour)], hour % 1
    return 5 * per_minute * (low + (HOURS[(int(hour) + 1) % 24] - low) * share) / (sum(HOURS) / 24)


def draw(dice: Random, mean: float) -> int:
    """Return a random number with the mean (Poisson), also for large means."""
    return sum(draw_count(dice, mean / parts) for parts in [max(1, math.ceil(mean / 100))] for _ in range(parts))


def simulate(seed: int, per_minute: float, weeks: int = WEEKS + 1) -> list[int | None]:
    """Return the orders of `weeks` weeks; each week is 3 % stronger than the week before."""
    dice = Random(seed)
    return [draw(dice, find_rate(place, per_minute) * 1.03 ** (place // PER_WEEK)) for place in range(weeks * PER_WEEK)]


@pytest.mark.parametrize("per_minute", [0.2, 2, 20])
def test_chance_alone_raises_at_most_one_alarm_per_week(per_minute: float) -> None:
    alarms = []
    for seed in range(3):
        counts = simulate(seed, per_minute)
        alarms.append(len(find_anomalies(counts, WEEKS * PER_WEEK, len(counts))))
    assert sum(alarms) <= len(alarms), alarms


def test_half_the_orders_gone_is_found_in_ten_minutes_when_twenty_come_per_minute() -> None:
    found = 0
    for seed in range(20):
        dice, counts = Random(seed), simulate(seed, 20, weeks=4)
        # The drop begins at a random time in which at least 20 orders per minute are expected, within a bucket.
        place = dice.choice([at for at in range(3 * PER_WEEK + 300, 4 * PER_WEEK - 4) if find_rate(at, 20) >= 100])
        full = counts[place]
        assert full is not None
        share = dice.random()
        counts[place] = sum(dice.random() < share + (1 - share) / 2 for _ in range(full))
        counts[place + 1] = sum(dice.random() < 0.5 for _ in range(counts[place + 1] or 0))
        # Ten minutes after the begin, the bucket of the begin and the next one are complete.
        found += bool(find_anomalies(counts[: place + 2], place, place + 2))
    assert found >= 19, f"found {found} of 20"


def test_a_silence_is_found_where_single_buckets_say_nothing() -> None:
    counts = simulate(7, 1, weeks=3)
    place = 2 * PER_WEEK + 19 * 12
    assert 5 < find_rate(place, 1) < 15
    for at in range(place, place + 9):
        counts[at] = 0
    (silence,) = find_anomalies(counts[: place + 9], place - 12, place + 9)
    assert (silence.kind, silence.count) == ("silence", 0)
    assert silence.first <= place + 3, "named when about 14 orders were missed"


def test_many_orders_are_unusual_too_and_unknown_buckets_are_not_judged() -> None:
    counts = simulate(1, 5, weeks=3)
    place = 2 * PER_WEEK + 14 * 12
    counts[place], counts[place + 20] = 200, None
    (many,) = find_anomalies(counts, place - 5, place + 25)
    assert (many.kind, many.first, many.count) == ("many", place, 200)
    assert many.low < many.expected < many.high < 200


def test_without_two_weeks_of_history_nothing_is_judged() -> None:
    counts = simulate(1, 20, weeks=2)
    counts[-1] = 0
    assert find_anomalies(counts, PER_WEEK, len(counts)) == []
