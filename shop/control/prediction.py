"""The predicted time until a consumer has no backlog.

A backlog of n events drains in n / (mu - lambda) seconds, see shop.control.rates. Former outages of similar size teach
the start and mu of an outage (shop.control.outages.lessons); without one, mu is measured while a backlog drains. The
backlog of a saga's step causes further events for the same consumer: for each waiting event it applies `follow` events.

After the return, the course of the drain corrects the prediction, the more the further the drain is.
"""

import statistics
from typing import Any, NamedTuple

from shop.control.outages.lessons import find_drains, find_follow

Figures = dict[str, Any]


class Prediction(NamedTuple):
    """The time to drain, counted from now, as the median and a range. Without `seconds` the backlog grows.

    `per_minute` is the number of seconds that each further minute of an outage adds. `growth` is in events per second.
    """

    seconds: float | None
    low: float | None = None
    high: float | None = None
    per_minute: float = 0.0
    growth: float = 0.0


class Capacity(NamedTuple):
    """The 10th, 50th and 90th percentile of the measured capacity, in events per second."""

    low: float
    middle: float
    high: float


class Drain(NamedTuple):
    """The work of a consumer in events, its rate of arrival in events per second, and the seconds until it begins."""

    work: float
    rate: float
    start: float = 0.0

    def predict(self, mu: float) -> float | None:
        """Return the seconds of the drain with the capacity `mu`, or None if it never ends."""
        return None if mu <= self.rate else self.start + self.work / (mu - self.rate)


class Course(NamedTuple):
    """A drain that has begun: the seconds since the return, the applied and the waiting events, and `half`.

    `half` is the share of the time in which the first half of the events is applied.
    """

    elapsed: float
    applied: float
    waiting: float
    half: float

    def correct(self, drain: Drain, mu: float) -> float | None:
        """Return the seconds from now to the end of `drain`: as predicted before, and as its course suggests.

        The weight of the course is the larger one of two shares: of the events that are applied, and of the predicted
        time that is over.
        """
        before = drain.predict(mu)
        if before is None:
            return None
        share = min(1.0, self.applied / (drain.work + drain.rate * before)) if drain.work else 1.0
        weight = min(1.0, max(share, self.elapsed / before))
        time = 2 * share * self.half if share < 0.5 else self.half + (2 * share - 1) * (1 - self.half)
        suggested = drain.start + max(0.0, self.elapsed - drain.start) / time if share > 0 else before
        return max(self.waiting / mu, (1 - weight) * before + weight * suggested - self.elapsed)


def find_capacity(figures: Figures, name: str) -> Capacity | None:
    """Return the capacity of consumer `name` in former drains, or the measured one, or None if it is unknown."""
    similar = find_drains(figures, name, find_backlog(figures, name))
    known = [drain["capacity"] for drain in similar] or (figures.get("capacities") or {}).get(name)
    if not known:
        return None
    deciles = statistics.quantiles(known, n=10, method="inclusive") if len(known) > 1 else [known[0]] * 9
    return Capacity(deciles[0], deciles[4], deciles[8])


def find_backlog(figures: Figures, name: str) -> float:
    """Return the waiting events of consumer `name`: those at its return while it drains, otherwise those now."""
    outage = (figures.get("outages") or {}).get(name)
    if outage and outage["returned_at"] is not None:
        return float(outage["waiting"])
    consumer = (figures.get("consumers") or {}).get(name)
    return float(consumer["lag"] - consumer["parked_events"]) if consumer else 0.0


def predict(figures: Figures, name: str, at: float) -> Prediction | None:
    """Return the prediction for consumer `name` if it works from now on, or None if its capacity is unknown.

    The first outage has no prediction: only a whole drain shows how much further work each waiting event causes.

    :param at: the time of the sample, in seconds.
    """
    capacity, drain = find_capacity(figures, name), find_drain(figures, name)
    is_first = name in (figures.get("outages") or {}) and not find_drains(figures, name, 0)
    if capacity is None or drain is None or is_first:
        return None
    course = find_course(figures, name, at)
    seconds, slow, fast = (
        drain.predict(mu) if course is None else course.correct(drain, mu)
        for mu in (capacity.middle, capacity.low, capacity.high)
    )
    if seconds is None:
        return Prediction(None, growth=drain.rate - capacity.middle)
    return Prediction(seconds, fast, slow, per_minute=60 * drain.rate / (capacity.middle - drain.rate))


def find_drain(figures: Figures, name: str) -> Drain | None:
    """Return the work of consumer `name`, or None if its lag or its rate of arrival is unknown."""
    arriving = figures["rates"]["consumers"].get(name, {}).get("steady")
    if not (figures.get("consumers") or {}).get(name) or arriving is None:
        return None
    backlog, outage = find_backlog(figures, name), (figures.get("outages") or {}).get(name)
    if outage is None:
        return Drain(backlog, arriving)
    follow = find_follow(figures, name)
    start = statistics.median([drain["start"] for drain in find_drains(figures, name, backlog)] or [0.0])
    arriving = arriving if outage["returned_at"] is None else outage["arriving"]
    return Drain(follow * backlog, follow * arriving, start)


def find_course(figures: Figures, name: str, at: float) -> Course | None:
    """Return the course of the drain of consumer `name`, or None if it does not drain after an outage."""
    outage = (figures.get("outages") or {}).get(name)
    if outage is None or outage["returned_at"] is None:
        return None
    consumer = figures["consumers"][name]
    waiting = consumer["lag"] - consumer["parked_events"]
    applied = outage["waiting"] + consumer["arrived"] - outage["arrived"] - waiting
    halves = [drain["half"] for drain in find_drains(figures, name, outage["waiting"])]
    return Course(at - outage["returned_at"], max(0.0, applied), waiting, statistics.median(halves or [0.5]))
