"""New and returning buyers, and cohorts by the month of the first order. Nothing here leads to a buyer."""

from datetime import datetime

from analytics.completeness import Completeness
from analytics.panels.pace import read_first
from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember

#: A cohort's cell with fewer buyers is hidden, because it could describe single persons.
FEWEST = 5
#: Seconds that the cohorts are kept, because they read all orders.
COHORTS_KEPT = 300
_BUYERS = """
select case when nth_order is null then 'unknown' when nth_order = 1 then 'new' else 'returning' end as buyer,
       coalesce(currency, '') as currency, count(*) as orders, sum(total)::bigint as amount
from analytics_orderfact where placed_at >= %(begin)s and placed_at < %(end)s group by 1, 2 order by 2, 1
"""
_COHORTS = """
select first_order_month as cohort, to_char(placed_at at time zone 'UTC', 'YYYY-MM') as month, count(*) as buyers
from analytics_orderfact
where first_this_month and first_order_month is not null and placed_at is not null
group by 1, 2 order by 1, 2
"""


def read_buyers(period: Period, complete: Completeness) -> list[Row]:
    """Return orders and amounts of new and returning buyers by currency."""
    return fetch(_BUYERS, period.as_values())


def read_cohorts(period: Period, complete: Completeness) -> list[Row]:
    """Return, by the month of the first order, the buyers of each month. A hidden number is None.

    The share is of the buyers of the first month, as far as that month is known
    (from its first day on) and not hidden.
    """
    return remember(("cohorts",), COHORTS_KEPT, _read_cohorts)


def _read_cohorts() -> list[Row]:
    found, first = fetch(_COHORTS), read_first()
    sizes = {
        row["cohort"]: row["buyers"]
        for row in found
        if row["cohort"] == row["month"] and first and first <= datetime.fromisoformat(f"{row['cohort']}-02T00:00:00Z")
    }
    for row in found:
        size = sizes.get(row["cohort"])
        is_hidden = row["buyers"] < FEWEST
        row["is_hidden"] = is_hidden
        row["share"] = None if is_hidden or not size or size < FEWEST else row["buyers"] / size
        row["buyers"] = None if is_hidden else row["buyers"]
    return found
