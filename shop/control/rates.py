"""Rates of a sample, and the measured capacity of each consumer.

lambda, `arriving`, is the rate at which events are committed in a consumer's topics. Each of these events is applied or
waits, so the growth of the lag gives the rate at which the consumer applies events, whether it reports figures or not.
mu, the capacity, is the rate at which it applies events while it has a backlog.
"""

import math
from typing import Any

Figures = dict[str, Any]

#: A consumer with more waiting events than this, and than BACKLOG_SECONDS of arrivals, works at its capacity.
BACKLOG_EVENTS, BACKLOG_SECONDS = 200, 2.0
#: Measured capacities that are kept for each consumer.
KEPT = 40
#: Seconds of one measurement of the capacity, a little less than two periods of the sampler.
SPAN_SECONDS = 1.9
#: A smaller growth than this number of events may be an error of the measurement: the consumer may be down.
LEAST_EVENTS = 20
#: A process whose last completed round is older than this may be down. Rounds with large batches take seconds.
FRESH_SECONDS = 6.0
#: Seconds after which an old rate of arrival has lost two thirds of its weight.
SMOOTH_SECONDS = 15.0


def find_rates(before: Figures | None, now: Figures, seconds: float) -> Figures:
    """Return events per second: published by the relays, and for each consumer applied, repeated and arriving.

    `steady` is the smoothed rate of arrival.

    :param before: the figures of the previous sample, or None for the first sample: then all rates are None.
    :param seconds: the time between the two samples.
    """
    counted = counts_on(before, now)
    rates: Figures = {"published": _find_rate(before, now, "relay", "published", seconds), "consumers": {}}
    for name, consumer in (now["consumers"] or {}).items():
        known = ((before or {}).get("consumers") or {}).get(name) or {}
        arriving = applied = None
        if counted and known and seconds > 0:
            arriving = round((consumer["arrived"] - known["arrived"]) / seconds, 2)
            applied = round(max(0.0, arriving - (consumer["lag"] - known["lag"]) / seconds), 2)
        steady = ((before or {}).get("rates") or {}).get("consumers", {}).get(name, {}).get("steady")
        rates["consumers"][name] = {
            "applied": applied,
            "repeated": _find_rate(before, now, name, "duplicates", seconds),
            "arriving": arriving,
            "steady": _smooth(steady, arriving, seconds),
        }
    return rates


def counts_on(before: Figures | None, now: Figures) -> bool:
    """Return whether the count of arrivals in `now` continues the count in `before`."""
    known, counted = (before or {}).get("arrivals"), now.get("arrivals")
    return bool(known and counted and known["began"] == counted["began"])


def _smooth(steady: float | None, arriving: float | None, seconds: float) -> float | None:
    if steady is None or arriving is None:
        return arriving
    return round(steady + (1 - math.exp(-seconds / SMOOTH_SECONDS)) * (arriving - steady), 3)


def _find_rate(before: Figures | None, now: Figures, name: str, counter: str, seconds: float) -> float | None:
    """Return the growth of a counter per second over all processes `name`, or None if it is unknown.

    A process that started after the previous sample counts from 0; one that ended is left out.
    """
    if not before or before.get("processes") is None or now.get("processes") is None or seconds <= 0:
        return None
    known = {row["process"]: row["counters"].get(counter, 0) for row in before["processes"]}
    growth: float = sum(
        max(0, row["counters"].get(counter, 0) - known.get(row["process"], 0))
        for row in now["processes"]
        if row["name"] == name
    )
    return round(growth / seconds, 2)


def learn_capacities(before: Figures | None, now: Figures, at: float) -> None:
    """Add the measured capacities by consumer to `now`, oldest first, and the beginnings of the next measurements.

    A measurement counts only if the consumer worked and had a backlog at both ends, and was not restarted: only then
    it had work during the whole time.

    :param at: the time of the sample, in seconds.
    """
    capacities: dict[str, list[float]] = dict((before or {}).get("capacities") or {})
    spans: Figures = dict((before or {}).get("spans") or {}) if counts_on(before, now) else {}
    outages = (before or {}).get("outages") or {}
    away = {name for name, one in outages.items() if one["returned_at"] is None}
    for name, consumer in (now["consumers"] or {}).items():
        begun, new = spans.get(name), None if name in away else _begin_span(now, name, consumer, at)
        if begun is None or new is None:
            spans[name] = new
        elif (seconds := at - begun["at"]) >= SPAN_SECONDS:
            spans[name] = new
            if seconds < 5 * SPAN_SECONDS and _has_worked(begun, new):
                capacity = round((new["done"] - begun["done"]) / seconds, 2)
                capacities[name] = [*capacities.get(name, []), capacity][-KEPT:]
    now["capacities"], now["spans"] = capacities, spans


def _begin_span(now: Figures, name: str, consumer: Figures, at: float) -> Figures | None:
    """Return the beginning of a measurement, or None if the consumer has no backlog, does not work, or is unknown."""
    arriving = now["rates"]["consumers"][name]["steady"]
    waiting = consumer["lag"] - consumer["parked_events"]
    if arriving is None or consumer["paused_at"] or now.get("processes") is None:
        return None
    processes = [row for row in now["processes"] if row["name"] == name]
    if not any(row["age"] is not None and row["age"] < FRESH_SECONDS for row in processes):
        return None
    if waiting < max(BACKLOG_EVENTS, BACKLOG_SECONDS * arriving):
        return None
    return {
        "at": at,
        "done": consumer["arrived"] - consumer["lag"],
        "exact": consumer["exact"],
        "arriving": arriving,
        "applied": {row["process"]: row["counters"].get("applied", 0) for row in processes},
    }


def _has_worked(begun: Figures, new: Figures) -> bool:
    """Return whether the same processes have applied events. An estimated lag needs their own report."""
    if begun["applied"].keys() != new["applied"].keys():
        return False
    reported = any(new["applied"][process] > n for process, n in begun["applied"].items())
    grown = new["done"] - begun["done"] >= max(LEAST_EVENTS, begun["arriving"])
    return grown and (reported or (begun["exact"] and new["exact"]))
