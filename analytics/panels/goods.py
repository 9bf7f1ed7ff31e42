"""Products: the most sold ones, the rising ones, and those that were sold out."""

from collections import Counter, defaultdict
from typing import Any

from analytics.completeness import Completeness
from analytics.panels.days import STRETCHES, read_rows
from analytics.panels.pace import read_first
from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch

#: Products of a list.
MOST = 12
#: A rising product has sold at least this number of pieces.
FEWEST_RISING = 5
_STORED = """
select sku, currency, day >= %(now)s as is_now, sum(views)::bigint as views, sum(units)::bigint as units,
       sum(amount)::bigint as amount
from analytics_productday where day = any(%(days)s) group by 1, 2, 3
"""
_READ = f"""
select sku, currency, hour >= %(now)s as is_now, sum(views)::bigint as views, sum(ordered_units)::bigint as units,
       sum(ordered_amount)::bigint as amount
from {STRETCHES.format(table="analytics_producthour", at="hour")} group by 1, 2, 3
"""  # noqa: S608 - our own names
_STOCKOUTS = """
select s.sku, s.began_at, s.ended_at, v.views, l.currency, l.missing, l.lost
from analytics_soldout s
left join lateral (
    select sum(views)::bigint as views from analytics_producthour
    where sku = s.sku and currency = '' and hour >= date_trunc('hour', s.began_at, 'UTC')
      and hour < least(coalesce(s.ended_at, %(end)s), %(end)s)) v on true
left join lateral (
    select currency, sum(rejected_units)::bigint as missing, sum(rejected_amount)::bigint as lost
    from analytics_producthour
    where sku = s.sku and currency <> '' and hour >= date_trunc('hour', s.began_at, 'UTC')
      and hour < least(coalesce(s.ended_at, %(end)s), %(end)s)
    group by currency) l on true
where s.began_at < %(end)s and coalesce(s.ended_at, %(end)s) >= %(begin)s
order by s.began_at desc, s.sku, l.currency limit 200
"""


def _read_sold(period: Period) -> list[Row]:
    """Return the pieces and amounts by product. Hours are whole, so the first hour may begin before the period."""
    begin = period.begin.replace(minute=0, second=0, microsecond=0)
    both, first = Period(period.span, begin - (period.end - begin), period.end, period.bucket), read_first()
    is_known = first is not None and first <= both.begin  # otherwise nobody knows what was sold before
    views, now, before = Counter[str](), defaultdict[Any, Counter[str]](Counter), Counter[Any]()
    for row in read_rows("sold", both, _STORED, _READ, now=begin):
        key = row["sku"], row["currency"]
        if not row["is_now"]:
            before[key] += row["units"]
        elif not row["currency"]:
            views[row["sku"]] += row["views"]
        elif row["units"]:
            now[key].update(units=row["units"], amount=row["amount"])
    rows = []
    for (sku, currency), sums in now.items():
        units_before = before[sku, currency] if is_known else None
        found: Row = {"sku": sku, "currency": currency, **sums, "views": views[sku], "units_before": units_before}
        rows.append({**found, "change": sums["units"] / units_before - 1 if units_before else None})
    return rows


def read_top(period: Period, complete: Completeness) -> list[Row]:
    """Return the products with the highest amounts in each currency."""
    return _take_most(sorted(_read_sold(period), key=lambda row: (row["currency"], -row["amount"], row["sku"])))


def read_rising(period: Period, complete: Completeness) -> list[Row]:
    """Return the products that sold more than in the period before, the largest growth first."""
    rising = [
        row
        for row in _read_sold(period)
        if row["units_before"] is not None and row["units"] > row["units_before"] and row["units"] >= FEWEST_RISING
    ]
    return _take_most(
        sorted(rising, key=lambda row: (row["currency"], -row["units"] / (row["units_before"] + 3), row["sku"]))
    )


def _take_most(rows: list[Row]) -> list[Row]:
    """Return the first MOST rows of each currency."""
    taken: dict[str, int] = {}
    kept = []
    for row in rows:
        taken[row["currency"]] = taken.get(row["currency"], 0) + 1
        if taken[row["currency"]] <= MOST:
            kept.append(row)
    return kept


def read_stockouts(period: Period, complete: Completeness) -> list[Row]:
    """Return the times without stock that touch the period, with the missing pieces and the views meanwhile."""
    return fetch(_STOCKOUTS, {"begin": period.begin, "end": min(period.end, complete.until)})
