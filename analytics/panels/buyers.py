"""New and returning buyers, and cohorts by the month of the first order. Nothing here leads to a buyer."""

from collections import defaultdict
from datetime import datetime

from analytics.completeness import Completeness
from analytics.panels.pace import read_first
from analytics.panels.period import Period
from analytics.panels.placed import add_amounts, read_placed
from analytics.panels.reading import Row, add_up, fetch, remember

#: A cohort's cell with fewer buyers is hidden, because it could describe single persons.
FEWEST = 5
#: Seconds that the cohorts are kept, because they read the first orders of all months.
COHORTS_KEPT = 300
# One range of the index for each month: PostgreSQL need not compute the month of each order.
_COHORTS = """
with recursive months as (
    select date_trunc('month', min(placed_at) at time zone 'UTC') as month from analytics_orderfact
    where first_this_month
    union all
    select (select date_trunc('month', min(placed_at) at time zone 'UTC') from analytics_orderfact
            where first_this_month and placed_at >= (month + interval '1 month') at time zone 'UTC')
    from months where month is not null)
select cohort, to_char(month, 'YYYY-MM') as month, buyers
from months cross join lateral (
    select first_order_month as cohort, count(*) as buyers from analytics_orderfact
    where first_this_month and first_order_month is not null
      and placed_at >= month at time zone 'UTC' and placed_at < (month + interval '1 month') at time zone 'UTC'
    group by 1) of_month
order by 1, 2
"""


def read_buyers(period: Period, complete: Completeness) -> list[Row]:
    """Return orders and amounts of new and returning buyers by currency."""
    groups = defaultdict[tuple[str, str], list[Row]](list)
    for row in read_placed(period):
        groups[row["currency"], row["buyer"]].append(row)
    return [
        {"buyer": buyer, "currency": currency, "orders": add_up(rows, "placed"), "amount": add_amounts(rows)}
        for (currency, buyer), rows in sorted(groups.items(), key=lambda item: item[0])
    ]


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
