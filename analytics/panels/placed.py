"""The sums of all orders placed in a period, read once for four panels."""

from collections.abc import Iterable

from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember

#: Seconds in which the panels of one page share the sums.
KEPT = 2
# Grouped by columns with few values, so that PostgreSQL sums up without sorting all orders.
_SUMS = """
select currency, nth_order is null as is_unknown, nth_order = 1 as is_first,
       declined_at is not null as is_declined, decline_reason, cancelled_at is not null as is_cancelled, reason,
       count(*) as placed, count(*) filter (where reserved_at is not null and authorized_at is not null) as ready,
       count(*) filter (where declined_at is not null or authorized_at is not null) as decided,
       count(confirmed_at) as confirmed, count(captured_at) as captured, count(shipped_at) as shipped,
       count(delivered_at) as delivered, sum(total)::bigint as amount
from analytics_orderfact where placed_at >= %(begin)s and placed_at < %(end)s group by 1, 2, 3, 4, 5, 6, 7
"""


def read_placed(period: Period) -> list[Row]:
    """Return the counts and amounts of the orders of the period, by currency, buyer, and reasons of their failures."""
    values = period.as_values()
    return remember(("placed", period.begin, period.end), KEPT, lambda: fetch(_SUMS, values))


def add_amounts(rows: Iterable[Row]) -> int | None:
    """Return the amount of `rows`, which have one currency; None if no amount is known."""
    known = [row["amount"] for row in rows if row["amount"] is not None]
    return sum(known) if known else None
