"""Lessons of former outages, which make the next prediction better.

`follow` is the number of events that a consumer applies for each event of its backlog. Inventory applies OrderPlaced,
the saga confirms the order, and inventory then applies OrderConfirmed: two events for each waiting one. `start` is the
time that its return took besides the work, for example the start of the process and its entry into the group.
"""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from shop.control.models import Outage

#: Outages that count: the newest ones with at least LEAST_WAITING events.
NEWEST, LEAST_WAITING = 3, 200
#: Limits of the lessons, so that one strange outage does not spoil the predictions.
MOST_FOLLOW, MOST_START = 5.0, 30.0


def learn(before: Mapping[str, Any] | None, figures: dict[str, Any], drained: Iterable[str]) -> None:
    """Add the lessons by consumer to `figures`: the known ones, and new ones for `drained` consumers."""
    lessons = (before or {}).get("lessons")
    names: Iterable[str] = drained
    if lessons is None:
        lessons, names = {}, figures["consumers"] or {}
    figures["lessons"] = {**lessons, **{name: draw_lesson(name) for name in names}}


def find_follow(figures: Mapping[str, Any] | None, name: str) -> float:
    """Return the number of events that consumer `name` applies for each waiting one; 1 if it is unknown."""
    follow: float = ((figures or {}).get("lessons") or {}).get(name, {}).get("follow", 1.0)
    return follow


def draw_lesson(name: str) -> dict[str, Any]:
    """Return what the newest outages of consumer `name` teach; an empty dictionary if there was none."""
    rows = Outage.objects.filter(consumer=name, waiting__gte=LEAST_WAITING).exclude(drained_at=None)
    known = list(rows.exclude(work=None).order_by("-began_at")[:NEWEST])
    if not known:
        return {}
    follow = statistics.median(measure_follow(row) for row in known)
    starts: dict[str, list[float]] = {}
    for row in known:
        starts.setdefault(row.kind, []).append(measure_start(row, follow))
    return {
        "capacities": [capacity for row in known if (capacity := measure_capacity(row)) > 0],
        "follow": round(follow, 3),
        "start": {kind: statistics.median(seconds) for kind, seconds in starts.items()},
    }


def measure_capacity(outage: Outage) -> float:
    """Return the measured capacity, or the mean rate of a drain that was too short for a measurement."""
    return outage.capacity or (outage.work or 0) / max(1.0, outage.drain_seconds or 0.0)


def measure_follow(outage: Outage) -> float:
    """Return the applied events for each event that waited or arrived; at least 1."""
    expected = outage.waiting + outage.arriving * (outage.drain_seconds or 0.0)
    return min(MOST_FOLLOW, max(1.0, (outage.work or 0) / max(expected, 1.0)))


def measure_start(outage: Outage, follow: float) -> float:
    """Return the seconds of the return that the work does not explain; at least 0."""
    surplus = measure_capacity(outage) - follow * outage.arriving
    seconds = (outage.drain_seconds or 0.0) - (follow * outage.waiting / surplus if surplus > 0 else 0.0)
    return round(min(MOST_START, max(0.0, seconds)), 3)
