"""Lessons of former outages, which make the next prediction better.

`follow` is the number of events that a consumer applies for each event of its backlog. Inventory applies OrderPlaced,
the saga confirms the order, and inventory then applies OrderConfirmed: two events for each waiting one. Each drain
teaches its start, its capacity and its course. `start` is the time until the consumer applies events. `capacity` is the
mean rate of the whole drain: at first a returned consumer has the machine for itself, later the other consumers work on
the events that it caused. `half` is the share of the drain's time in which it applied the first half of the events.
"""

import math
import statistics
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from shop.control.models import Outage, Point
from shop.control.rates import LEAST_EVENTS

#: Outages that count: the newest ones with at least LEAST_WAITING events.
NEWEST, LEAST_WAITING = 6, 200
#: Limits of the lessons, so that one strange outage does not spoil the predictions.
MOST_FOLLOW, MOST_START, LEAST_HALF = 5.0, 30.0, 0.1
#: A prediction uses the newest drains whose size differs at most by this factor, at most MOST_USED. Without
#: any, it uses drains of the most similar size.
SIMILAR_FACTOR, MOST_USED = 1.5, 3

Lesson = dict[str, Any]


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


def find_drains(figures: Mapping[str, Any], name: str, waiting: float) -> list[Lesson]:
    """Return the former drains of consumer `name` that teach most about a backlog of `waiting` events, newest first.

    Longer drains are slower: the machine also works on the events that they cause. Therefore similar sizes come first.
    """
    drains = ((figures.get("lessons") or {}).get(name) or {}).get("drains") or []
    if not drains:
        return []
    size = max(waiting, LEAST_WAITING)
    if not any(is_similar(drain["waiting"], size) for drain in drains):
        size = min((drain["waiting"] for drain in drains), key=lambda known: abs(math.log(known / size)))
    return [drain for drain in drains if is_similar(drain["waiting"], size)][:MOST_USED]


def is_similar(size: float, other: float) -> bool:
    """Return whether two backlogs differ at most by SIMILAR_FACTOR."""
    return max(size, other) <= SIMILAR_FACTOR * min(size, other)


def draw_lesson(name: str) -> Lesson:
    """Return what the newest outages of consumer `name` teach; an empty dictionary if there was none."""
    rows = Outage.objects.filter(consumer=name, waiting__gte=LEAST_WAITING).exclude(drained_at=None)
    known = list(rows.exclude(work=None).order_by("-began_at")[:NEWEST])
    if not known:
        return {}
    return {
        "follow": round(statistics.median(measure_follow(row) for row in known), 3),
        "drains": [measure_drain(row) for row in known],
    }


def measure_follow(outage: Outage) -> float:
    """Return the applied events for each event that waited or arrived; at least 1."""
    expected = outage.waiting + outage.arriving * (outage.drain_seconds or 0.0)
    return min(MOST_FOLLOW, max(1.0, (outage.work or 0) / max(expected, 1.0)))


def measure_drain(outage: Outage) -> Lesson:
    """Return the size, the start, the capacity and the course of a drain. Without points it counts as even."""
    work, seconds = outage.work or 0, max(outage.drain_seconds or 0.0, 0.1)
    course = [(0.0, 0), *read_course(outage), (seconds, work)]
    start = min(MOST_START, find_start(course), seconds - 0.1)
    half = (find_time(course, work / 2) - start) / (seconds - start)
    return {
        "waiting": outage.waiting,
        "start": round(start, 2),
        "capacity": round(work / (seconds - start), 2),
        "half": round(min(1 - LEAST_HALF, max(LEAST_HALF, half)), 3),
    }


def find_start(course: list[tuple[float, int]]) -> float:
    """Return the time of the first applied event, from the rate between the two points that follow."""
    idle = max(number for number, (_, applied) in enumerate(course) if applied <= LEAST_EVENTS)
    following = course[idle + 1 : idle + 3]
    if len(following) < 2:
        return course[idle][0]
    (first, fewer), (last, more) = following
    return max(course[idle][0], first - (last - first) * fewer / max(1, more - fewer))


def read_course(outage: Outage) -> list[tuple[float, int]]:
    """Return the applied events by the time since the return, in seconds."""
    assert outage.returned_at is not None
    points = Point.objects.filter(consumer=outage.consumer, at__gt=outage.returned_at, at__lt=outage.drained_at)
    known = outage.waiting - outage.arrived
    return [
        ((point.at - outage.returned_at).total_seconds(), known + point.arrived - point.waiting)
        for point in points.order_by("period")
        if point.arrived is not None
    ]


def find_time(course: list[tuple[float, int]], wanted: float) -> float:
    """Return the time at which `wanted` events had been applied, between two points."""
    for (first, fewer), (last, more) in pairwise(course):
        if more >= wanted:
            return last if more <= fewer else first + (last - first) * max(0.0, wanted - fewer) / (more - fewer)
    return course[-1][0]
