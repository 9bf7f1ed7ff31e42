"""Rows of a period: the stored sums of its finished days, and the facts of the stretches between these days."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember

#: Seconds in which the panels of one page share the rows.
KEPT = 2
DAY = timedelta(days=1)
_DAYS = "select distinct day from analytics_minuteday where day >= %(first)s and day < %(last)s order by day"
# A join for each stretch of time, so that PostgreSQL looks up its rows in an index.
STRETCHES = """
unnest(%(begins)s::timestamptz[], %(ends)s::timestamptz[]) as stretch (begin_at, end_at)
join {table} on {at} >= begin_at and {at} < end_at
"""


def read_rows(name: str, period: Period, stored: str, read: str, **values: Any) -> list[Row]:
    """Return the rows of `stored` for the days %(days)s with sums, and of `read` for STRETCHES.

    Only a period whose buckets are days has stored days. Both statements may return rows of the same group. The rows
    of one `name` and period are read once for all panels of a page.
    """

    def compute() -> list[Row]:
        found = remember(("stretches", period.begin, period.end), KEPT, lambda: _split(period))
        rows = fetch(stored, found | values) if found["days"] else []
        return rows + (fetch(read, found | values) if found["begins"] else [])

    return remember((name, period.begin, period.end), KEPT, compute)


def _split(period: Period) -> dict[str, Any]:
    days = list[date]()
    if period.bucket == DAY:
        days = [row["day"] for row in fetch(_DAYS, {"first": period.begin.date(), "last": period.end.date()})]
    return {"days": days, **find_stretches(period.begin, period.end, days)}


def find_stretches(begin: datetime, end: datetime, days: Sequence[date]) -> dict[str, list[datetime]]:
    """Return the begins and ends of the stretches of [begin, end) between `days`, which are sorted."""
    begins, ends = list[datetime](), list[datetime]()
    for day in [*days, None]:
        until = datetime.combine(day, time(), UTC) if day else end
        if begin < until:
            begins.append(begin)
            ends.append(until)
        begin = until + DAY
    return {"begins": begins, "ends": ends}
