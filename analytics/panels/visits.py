"""The sums of all visits of a period, read once for three panels."""

from datetime import UTC, datetime, time, timedelta

from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember
from analytics.sessions import SUMS

#: A visit is over when its visitor was away for this long.
PAUSE = timedelta(minutes=30)
#: Seconds in which the three panels of one page share the sums.
KEPT = 10
_STORED = "select * from analytics_sessionday where day >= %(first)s and day < %(end)s"
_READ = SUMS.format(
    keys="currency",
    is_over="ended_at < %(over)s",
    sessions="analytics_session",
    chosen="day = any(%(days)s) and began_at >= %(begin)s and began_at < %(end)s",
)


def read_sums(period: Period, until: datetime) -> dict[str, Row]:
    """Return the sums by the currency of the visit's checkout ("" without a checkout)."""
    return remember(("visits", period.begin, period.end, until), KEPT, lambda: _read(period.begin, period.end, until))


def _read(begin: datetime, end: datetime, until: datetime) -> dict[str, Row]:
    """Add the stored sums of whole days, in which all visits are over, to the sums of the other days' visits."""
    first, over = (begin - timedelta(microseconds=1)).date() + timedelta(days=1), until - PAUSE
    stored = fetch(_STORED, {"first": first, "end": min(end, over).astimezone(UTC).date()})
    known = {row["day"] for row in stored}
    days = [begin.date() + timedelta(days=number) for number in range((end - begin).days + 2)]
    others = [day for day in days if day not in known and datetime.combine(day, time(), UTC) < end]
    rows = fetch(_READ, {"begin": begin, "end": end, "over": over, "days": others})
    sums: dict[str, Row] = {}
    for row in (*stored, *rows):
        row.pop("day", None)
        currency = row.pop("currency")
        sums[currency] = _add(sums.get(currency), row)
    return sums


def _add(one: Row | None, other: Row) -> Row:
    """Return the sums of both rows; an unknown amount adds nothing."""
    if not one:
        return other
    return {name: (one[name] or 0) + (other[name] or 0) if one[name] or other[name] else one[name] for name in one}
