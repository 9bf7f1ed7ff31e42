"""Orders and revenue per bucket with the week before, the headline figures, and what was known when."""

from collections import defaultdict
from datetime import datetime, timedelta

from analytics.completeness import Completeness
from analytics.models import Kind
from analytics.panels.days import STRETCHES, read_rows
from analytics.panels.period import WEEK, Period
from analytics.panels.reading import Row, add_up, fetch
from analytics.panels.visits import read_sums

#: Kinds whose counts panels show.
KINDS = [Kind.PLACED.value, Kind.CAPTURED.value, Kind.REFUNDED.value]
_STORED = """
select day::timestamp at time zone 'UTC' as begin, kind, currency, count, amount
from analytics_minuteday where day = any(%(days)s) and kind = any(%(kinds)s)
"""
_READ = f"""
select date_bin(%(bucket)s, minute, %(begin)s) as begin, kind, currency, sum(count)::bigint as count,
       sum(amount)::bigint as amount
from {STRETCHES.format(table="analytics_minute", at="minute")} and kind = any(%(kinds)s) group by 1, 2, 3
"""  # noqa: S608 - our own names
_NOW = "select count(distinct visitor) as visitors from analytics_activity where at >= %(since)s and at <= %(now)s"
_FIRST = "select min(minute) as first from analytics_minute"
_ARRIVED = """
select date_bin(%(bucket)s, minute, %(begin)s) as begin, sum(count)::bigint as known_now,
       sum(count) filter (where arrived - minute <= interval '1 minute')::bigint as known_then,
       max(arrived) as last_arrived
from analytics_arrival where minute >= %(begin)s and minute < %(end)s group by 1 order by 1
"""


def read_first() -> datetime | None:
    """Return the first minute with an event, or None. Figures of earlier times are unknown."""
    first: datetime | None = fetch(_FIRST)[0]["first"]
    return first


def read_counts(period: Period) -> list[Row]:
    """Return the count and the amount of each of KINDS by bucket and currency, read once for three panels."""
    values = {"kinds": KINDS, "bucket": period.bucket, "begin": period.begin}
    return read_rows("counts", period, _STORED, _READ, **values)


def count_placed(period: Period) -> dict[tuple[datetime, str], tuple[int, int]]:
    """Return the count and the amount of placed orders by bucket and currency."""
    rows = (row for row in read_counts(period) if row["kind"] == Kind.PLACED)
    return {(row["begin"], row["currency"]): (row["count"], row["amount"]) for row in rows}


def read_pace(period: Period, complete: Completeness) -> list[Row]:
    """Return orders and revenue of each bucket and currency, and those a week (30 days: four weeks) before.

    A bucket before the first known event or after `complete.until` is unknown. A bucket that contains
    `complete.until` is not settled: its figures may grow.
    """
    shift = WEEK if period.span != "month" else 4 * WEEK
    before = Period(period.span, period.begin - shift, period.end - shift, period.bucket)
    now, then = count_placed(period), count_placed(before)
    first, rows = read_first(), list[Row]()
    for currency in sorted({key[1] for key in now} | {key[1] for key in then}):
        for begin in period.list_buckets():
            known = begin < complete.until and first is not None and begin + period.bucket > first
            is_known_before = first is not None and begin - shift + period.bucket > first
            count, amount = now.get((begin, currency), (0, 0) if known else (None, None))
            former = then.get((begin - shift, currency), (0, 0) if is_known_before else (None, None))
            settled = begin + period.bucket <= complete.until
            rows.append(
                {"begin": begin, "currency": currency, "orders": count, "revenue": amount, "is_settled": settled}
                | {"orders_before": former[0], "revenue_before": former[1]}
            )
    return rows


def read_headline(period: Period, complete: Completeness) -> list[Row]:
    """Return the headline figures, each with the value of the period before."""
    first = read_first()
    now = read_figures(period, complete.until)
    former = read_figures(period.former, complete.until)
    known, known_before = (first is not None and begin >= first for begin in (period.end, period.former.begin))
    rows = []
    for name, currency in sorted(now.keys() | former.keys()):
        value, before = now.get((name, currency)), former.get((name, currency))
        is_count = name in ("sessions", "orders")
        value = 0 if value is None and is_count and known else value
        before = (0 if before is None and is_count else before) if known_before else None
        rows.append({"figure": name, "currency": currency, "value": value, "before": before})
    return rows


def read_figures(period: Period, until: datetime) -> dict[tuple[str, str], float | None]:
    """Return the headline figures of one period by name and currency."""
    sums: dict[str, dict[str, tuple[int, int]]] = defaultdict(lambda: dict.fromkeys(KINDS, (0, 0)))
    for row in read_counts(period):
        count, amount = sums[row["currency"]][row["kind"]]
        sums[row["currency"]][row["kind"]] = (count + row["count"], amount + row["amount"])
    figures: dict[tuple[str, str], float | None] = {("orders", ""): None}
    for currency, by_kind in sums.items():
        (count, gross), (_, captured), (_, refunded) = (by_kind[kind] for kind in KINDS)
        figures["orders", ""] = (figures["orders", ""] or 0) + count
        figures["gross", currency] = gross
        figures["net", currency] = captured - refunded
        figures["average", currency] = round(gross / count) if count else None
    visits = read_sums(period, until).values()
    figures["sessions", ""] = add_up(visits, "sessions") or None
    ended = add_up(visits, "visited")
    figures["conversion", ""] = add_up(visits, "with_order") / ended if ended else None
    return figures


def read_visitors(until: datetime) -> int:
    """Return the number of visitors in the five minutes before `until`."""
    found: int = fetch(_NOW, {"since": until - timedelta(minutes=5), "now": until})[0]["visitors"]
    return found


def read_arrivals(period: Period, complete: Completeness) -> list[Row]:
    """Return, for each bucket, the events known within a minute or two of their time, and the events known now."""
    found = {row["begin"]: row for row in fetch(_ARRIVED, period.as_values())}
    nothing = {"known_now": 0, "known_then": 0, "last_arrived": None}
    rows = []
    for begin in period.list_buckets():
        row = found.get(begin, nothing)
        then = row["known_then"] or 0
        rows.append(
            {"begin": begin, "known_then": then, "known_now": row["known_now"]}
            | {"later": row["known_now"] - then, "last_arrived": row["last_arrived"]}
        )
    return rows
