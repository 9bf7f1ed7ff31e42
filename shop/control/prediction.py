"""The predicted time until a consumer has no backlog.

A backlog of n events drains in n / (mu - lambda) seconds, see shop.control.rates. Two things are learned from former
outages (shop.control.outages.lessons). The backlog of a saga's step causes further events for the same consumer: for
each waiting event it applies `follow` events. And a process needs some seconds to start and to join its group.
"""

import statistics
from typing import Any, NamedTuple

Figures = dict[str, Any]

#: With this number of measurements, less one, only the current drain counts.
ENOUGH = 4


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


class Load(NamedTuple):
    """The work of a consumer: seconds to wait, events, and further events per second."""

    start: float
    work: float
    rate: float


def find_capacity(figures: Figures, name: str) -> Capacity | None:
    """Return the measured capacity of consumer `name`, or the one of its former outages; None if it is unknown.

    During a drain the machine may be busier or calmer than before, so new measurements count more than old ones.
    """
    known = (figures.get("capacities") or {}).get(name) or []
    known = known or (figures.get("lessons") or {}).get(name, {}).get("capacities") or []
    if not known:
        return None
    deciles = statistics.quantiles(known, n=10, method="inclusive") if len(known) > 1 else [known[0]] * 9
    recent = (figures.get("recent") or {}).get(name) or []
    share = min(1.0, (1 + len(recent)) / ENOUGH) if recent else 0.0
    factor = 1 + share * (statistics.median(recent or known) / deciles[4] - 1)
    return Capacity(factor * deciles[0], factor * deciles[4], factor * deciles[8])


def predict(figures: Figures, name: str, at: float) -> Prediction | None:
    """Return the prediction for consumer `name` if it works from now on, or None if its capacity is unknown.

    :param at: the time of the sample, in seconds.
    """
    capacity, load = find_capacity(figures, name), find_load(figures, name, at)
    if capacity is None or load is None:
        return None
    seconds, slow, fast = (_drain(load, mu) for mu in (capacity.middle, capacity.low, capacity.high))
    if seconds is None:
        return Prediction(None, growth=load.rate - capacity.middle)
    return Prediction(seconds, fast, slow, per_minute=60 * load.rate / (capacity.middle - load.rate))


def _drain(load: Load, mu: float) -> float | None:
    return None if mu <= load.rate else load.start + max(0.0, load.work) / (mu - load.rate)


def find_load(figures: Figures, name: str, at: float) -> Load | None:
    """Return the load of consumer `name`, or None if its lag or its rate of arrival is unknown."""
    consumer = (figures.get("consumers") or {}).get(name)
    arriving = figures["rates"]["consumers"].get(name, {}).get("steady")
    if not consumer or arriving is None:
        return None
    waiting = consumer["lag"] - consumer["parked_events"]
    outage = (figures.get("outages") or {}).get(name)
    if outage is None:
        return Load(0.0, waiting, arriving)
    lesson = (figures.get("lessons") or {}).get(name) or {}
    follow, start = lesson.get("follow", 1.0), lesson.get("start", {}).get(outage["kind"], 0.0)
    if outage["returned_at"] is None:
        return Load(start, follow * waiting, follow * arriving)
    elapsed = at - outage["returned_at"]
    applied = outage["waiting"] + consumer["arrived"] - outage["arrived"] - consumer["lag"]
    expected = follow * (outage["waiting"] + outage["arriving"] * elapsed) - applied
    return Load(max(0.0, start - elapsed), max(waiting, expected), follow * outage["arriving"])
