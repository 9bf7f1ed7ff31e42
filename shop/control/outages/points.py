"""The history of each consumer: one point per sample, and charts of at most MOST_POINTS points."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from shop.control.models import Point

MOST_POINTS = 300

# Empty intervals have no row: the sampler did not run. The range of periods uses the primary key.
_SERIES = """
select (period - %(first)s) / %(width)s as place, max(waiting), avg(arriving)::float8, avg(applied)::float8
from control_point where consumer = %(consumer)s and period >= %(first)s and period < %(end)s
group by place order by place
"""


class Interval(NamedTuple):
    """The figures of a consumer in an interval that begins at `at`, in seconds: its most waiting events, and rates."""

    at: int
    waiting: int
    arriving: float | None
    applied: float | None


def store_points(figures: dict[str, Any], period: int, at: datetime) -> None:
    """Store a point of each consumer."""
    Point.objects.bulk_create(
        [
            Point(
                consumer=name,
                period=period,
                at=at,
                waiting=consumer["lag"] - consumer["parked_events"],
                arrived=consumer["arrived"],
                arriving=figures["rates"]["consumers"][name]["steady"],
                applied=figures["rates"]["consumers"][name]["applied"],
                drain_seconds=figures["predictions"].get(name, {}).get("seconds"),
            )
            for name, consumer in (figures["consumers"] or {}).items()
        ],
        ignore_conflicts=True,
    )


def read_series(consumer: str, *, end: int, seconds: int) -> list[Interval]:
    """Return the last `seconds` before `end` as at most MOST_POINTS intervals, oldest first."""
    width = -(-seconds // MOST_POINTS)
    first = (end - seconds) // width * width + width
    values: dict[str, Any] = {"consumer": consumer, "first": first, "end": first + MOST_POINTS * width, "width": width}
    with connection.cursor() as cursor:
        cursor.execute(_SERIES, values)
        return [Interval(first + place * width, *row) for place, *row in cursor.fetchall()]
