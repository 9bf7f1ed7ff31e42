"""Rates of a sample, from the counters of two samples, and the time that a consumer needs for its backlog.

lambda is the rate at which events of a consumer's topics arrive. mu is the rate at which the consumer applies events
while it has a backlog. A backlog drains in lag / (mu - lambda) seconds.
"""

import statistics
from typing import Any

Figures = dict[str, Any]

#: A consumer with more waiting events than this, and than BACKLOG_SECONDS of arrivals, works at its capacity.
BACKLOG_EVENTS, BACKLOG_SECONDS = 200, 2.0
#: Measured capacities that are kept for each consumer.
KEPT = 40


def find_rates(before: Figures | None, now: Figures, seconds: float) -> Figures:
    """Return events per second: published by the relays, and for each consumer applied, repeated and arriving.

    :param before: the figures of the previous sample, or None for the first sample: then all rates are None.
    :param seconds: the time between the two samples.
    """
    rates: Figures = {"published": _find_rate(before, now, "relay", "published", seconds), "consumers": {}}
    for name, consumer in (now["consumers"] or {}).items():
        applied = _find_rate(before, now, name, "applied", seconds)
        known = ((before or {}).get("consumers") or {}).get(name)
        # Each arriving event is applied, waits, or repeats an applied one.
        arriving = (
            None if applied is None or known is None else max(0.0, applied + (consumer["lag"] - known["lag"]) / seconds)
        )
        rates["consumers"][name] = {
            "applied": applied,
            "repeated": _find_rate(before, now, name, "duplicates", seconds),
            "arriving": arriving,
        }
    return rates


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


def learn_capacities(before: Figures | None, now: Figures) -> dict[str, list[float]]:
    """Return the newest measured capacities by consumer, in events per second, oldest first."""
    known: dict[str, list[float]] = dict((before or {}).get("capacities") or {})
    for name, rates in now["rates"]["consumers"].items():
        lag_before = (((before or {}).get("consumers") or {}).get(name) or {}).get("lag", 0)
        applied, arriving = rates["applied"], rates["arriving"]
        if not applied or arriving is None or now["consumers"][name]["paused_at"]:
            continue
        # The consumer had work during the whole time between the samples only if it also ends with a backlog.
        least = max(BACKLOG_EVENTS, BACKLOG_SECONDS * arriving)
        if min(lag_before, now["consumers"][name]["lag"]) >= least:
            known[name] = [*known.get(name, []), applied][-KEPT:]
    return known


def predict_drain(figures: Figures, name: str) -> float | None:
    """Return the seconds until consumer `name` has no backlog, if it works now. None means unknown or never."""
    capacities = figures.get("capacities", {}).get(name)
    consumer, rates = (figures.get("consumers") or {}).get(name), figures["rates"]["consumers"].get(name)
    if not capacities or not consumer or not rates:
        return None
    lag: float = consumer["lag"] - consumer["parked_events"]
    surplus: float = statistics.median(capacities) - (rates["arriving"] or 0.0)
    return None if surplus <= 0 else lag / surplus
