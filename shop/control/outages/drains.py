"""The end of a drain: few events wait, and those that arrive are no longer follow-ups of the backlog.

Each applied order of inventory's backlog causes an event that inventory receives later, after payments and orders. It
may have nothing to do for a second while thousands of these follow-ups are still on their way. Therefore a drain ends
when events arrive at their usual rate again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from shop.control.outages.models import Outage, Point

#: Few events are at most this number, or the events of one second.
FEW_EVENTS = 10
#: The rate of arrival is usual up to this multiple of the rate before the return, and up to FEW_EVENTS per second. It
#: includes the follow-ups of new events: one for each in inventory.
USUAL_FACTOR = 6.0
#: The rate must be usual for this time. Without it, a drain ends after MOST_SECONDS with few events: the rate may have
#: grown for another reason.
CALM_SECONDS, MOST_SECONDS = 3.0, 30.0


class End(NamedTuple):
    """The time at which a consumer had drained, and the first point after it."""

    at: datetime
    point: Point


def find_end(outage: Outage, now: Point, follow: float) -> End | None:
    """Return the end of the drain of `outage`, or None if it goes on.

    :param now: the figures of this sample; earlier ones are stored.
    :param follow: the events that the consumer applies for each waiting one.
    """
    few = max(FEW_EVENTS, follow * outage.arriving)
    if now.waiting > few:
        return None
    points = [*_read_points(outage, now.at), now]
    usual = max(FEW_EVENTS, USUAL_FACTOR * outage.arriving)
    low = max((number for number, point in enumerate(points) if point.waiting > few), default=0)
    busy = [measure_arrivals(before, point) > usual for before, point in pairwise(points)]
    last = max((number for number, is_busy in enumerate(busy, 1) if is_busy), default=0)
    calm = _measure_seconds(points[max(low, last)], now)
    if calm >= CALM_SECONDS and last > low:
        # The last follow-up arrived at some time between two points.
        return End(points[last].at - (points[last].at - points[last - 1].at) / 2, points[last])
    if calm >= CALM_SECONDS or _measure_seconds(points[low], now) >= MOST_SECONDS:
        return _find_crossing(points, low, few)
    return None


def measure_arrivals(before: Point, point: Point) -> float:
    """Return the events per second that arrived between two points, or 0 if that is unknown."""
    if before.arrived is None or point.arrived is None:
        return 0.0
    return max(0, point.arrived - before.arrived) / max(0.001, _measure_seconds(before, point))


def _read_points(outage: Outage, until: datetime) -> list[Point]:
    since = until - timedelta(seconds=2 * MOST_SECONDS)
    return list(Point.objects.filter(consumer=outage.consumer, at__gte=since, at__lt=until).order_by("period"))


def _measure_seconds(before: Point, point: Point) -> float:
    return (point.at - before.at).total_seconds()


def _find_crossing(points: Sequence[Point], low: int, few: float) -> End:
    """Return the time after the point number `low` at which few events waited."""
    point = points[low]
    if point.waiting <= few or low + 1 == len(points):
        return End(point.at, point)
    following = points[low + 1]
    share = (point.waiting - few) / (point.waiting - following.waiting)
    return End(point.at + share * (following.at - point.at), following)
