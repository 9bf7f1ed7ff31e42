"""Products: the most sold ones, the rising ones, and those that were sold out."""

from analytics.completeness import Completeness
from analytics.panels.pace import read_first
from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember

#: Products of a list.
MOST = 12
#: Seconds in which both lists of a page share what was read.
KEPT = 2
#: A rising product has sold at least this number of pieces.
FEWEST_RISING = 5
_SOLD = """
select sku, currency, sum(ordered_units) filter (where hour >= %(begin)s)::bigint as units,
       sum(ordered_amount) filter (where hour >= %(begin)s)::bigint as amount,
       coalesce(sum(ordered_units) filter (where hour < %(begin)s), 0)::bigint as units_before
from analytics_producthour where hour >= %(before)s and hour < %(end)s and currency <> ''
group by 1, 2
"""
_VIEWS = """
select sku, sum(views)::bigint as views from analytics_producthour
where hour >= %(begin)s and hour < %(end)s and currency = '' group by 1
"""
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
    """Return the pieces and amounts by product, read once for both lists of a page."""
    return remember(("sold", period.begin, period.end), KEPT, lambda: _read(period))


def _read(period: Period) -> list[Row]:
    """Return the pieces and amounts by product. Hours are whole, so the first hour may begin before the period."""
    begin = period.begin.replace(minute=0, second=0, microsecond=0)
    values = {"begin": begin, "end": period.end, "before": begin - (period.end - begin)}
    views = {row["sku"]: row["views"] for row in fetch(_VIEWS, values)}
    first = read_first()
    is_known = first is not None and first <= values["before"]  # otherwise nobody knows what was sold before
    rows = [row for row in fetch(_SOLD, values) if row["units"]]
    for row in rows:
        row["views"] = views.get(row["sku"], 0)
        row["units_before"] = row["units_before"] if is_known else None
        row["change"] = row["units"] / row["units_before"] - 1 if row["units_before"] else None
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
