"""Orders that were declined, cancelled or refunded."""

from analytics.completeness import Completeness
from analytics.models import Kind
from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch

_DECLINES = """
select coalesce(decline_reason, 'unknown') as reason, count(*) as orders,
       count(*)::float8 / nullif((select count(*) from analytics_orderfact
                                  where placed_at >= %(begin)s and placed_at < %(end)s
                                    and (declined_at is not null or authorized_at is not null)), 0) as share
from analytics_orderfact
where placed_at >= %(begin)s and placed_at < %(end)s and declined_at is not null group by 1 order by 2 desc, 1
"""
_CANCELLATIONS = """
select coalesce(reason, 'unknown') as reason, coalesce(currency, '') as currency, count(*) as orders,
       sum(total)::bigint as amount
from analytics_orderfact
where placed_at >= %(begin)s and placed_at < %(end)s and cancelled_at is not null
group by 1, 2 order by 3 desc, 1, 2
"""
_REFUNDS = """
select currency, coalesce(sum(count) filter (where kind = %(refunded)s), 0)::bigint as refunds,
       coalesce(sum(amount) filter (where kind = %(refunded)s), 0)::bigint as refunded,
       coalesce(sum(amount) filter (where kind = %(captured)s), 0)::bigint as captured
from analytics_minute where kind = any(%(kinds)s) and minute >= %(begin)s and minute < %(end)s
group by currency order by currency
"""


def read_declines(period: Period, complete: Completeness) -> list[Row]:
    """Return the declined payments by reason; the share is of all decided payments."""
    return fetch(_DECLINES, period.as_values())


def read_cancellations(period: Period, complete: Completeness) -> list[Row]:
    """Return the cancelled orders by reason and currency."""
    return fetch(_CANCELLATIONS, period.as_values())


def read_refunds(period: Period, complete: Completeness) -> list[Row]:
    """Return the refunds by currency, next to the captured amounts of the same time."""
    kinds = {"refunded": Kind.REFUNDED.value, "captured": Kind.CAPTURED.value}
    rows = fetch(_REFUNDS, {**period.as_values(), **kinds, "kinds": list(kinds.values())})
    return [{**row, "share": row["refunded"] / row["captured"] if row["captured"] else None} for row in rows]
