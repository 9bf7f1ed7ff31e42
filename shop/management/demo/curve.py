"""The number of visits over time: a daily and a weekly curve with growth, and the incidents of the month."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

#: Relative number of visits by hour (UTC): little at night, a hill at noon, the most in the evening.
HOURS = (4, 2, 1, 1, 1, 3, 7, 12, 20, 27, 32, 36, 38, 36, 33, 33, 36, 42, 52, 60, 57, 42, 24, 10)
#: Relative number of visits from Monday to Sunday.
WEEKDAYS = (1.05, 1.0, 0.98, 1.0, 0.9, 1.05, 1.32)
#: Growth from the first to the last day.
GROWTH = 0.35
SLOT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which something is wrong."""

    began: datetime
    ended: datetime

    def contains(self, moment: datetime) -> bool:
        """Return whether `moment` is in the incident."""
        return self.began <= moment < self.ended


@dataclass(frozen=True, slots=True)
class Calendar:
    """The period, and its incidents.

    - `silence`: the checkout page fails, so visitors come but nobody orders.
    - `declines`: the bank declines many payments.
    - `slow`: the payment gateway answers late.
    - `away`: analytics is stopped; its events are applied at the end.
    """

    begin: datetime
    end: datetime
    silence: Incident
    declines: Incident
    slow: Incident
    away: Incident

    def find_rate(self, moment: datetime) -> float:
        """Return the relative number of visits at `moment`; the mean over a week without growth is about 1."""
        hour = moment.hour + moment.minute / 60
        low, share = HOURS[int(hour)], hour - int(hour)
        daily = (low + (HOURS[(int(hour) + 1) % 24] - low) * share) / (sum(HOURS) / 24)
        grown = 1 + GROWTH * ((moment - self.begin) / (self.end - self.begin) - 0.5)
        return daily * WEEKDAYS[moment.weekday()] * grown


def plan_calendar(end: datetime, days: int) -> Calendar:
    """Return the calendar of the `days` days before `end`."""

    def find_incident(days_ago: int, hour: int, minutes: int) -> Incident:
        began = end.replace(hour=hour, minute=10, second=0, microsecond=0) - timedelta(days=days_ago)
        if days_ago == 0 and began + timedelta(minutes=minutes + 30) > end:
            began -= timedelta(days=1)
        return Incident(began, began + timedelta(minutes=minutes))

    begin = (end - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    silence, away = find_incident(0, 18, 45), find_incident(0, 11, 25)
    return Calendar(begin, end, silence, find_incident(6, 16, 120), find_incident(3, 12, 50), away)


def draw_count(dice: Random, mean: float) -> int:
    """Return a random number of independent things with the given mean (Poisson)."""
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count
