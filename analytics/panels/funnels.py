"""Funnels of visits and orders, and the durations of an order's steps."""

from analytics.completeness import Completeness
from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch
from analytics.panels.visits import add_up, read_sums

_ORDERS = """
select count(*) as placed, count(*) filter (where reserved_at is not null and authorized_at is not null) as ready,
       count(confirmed_at) as confirmed, count(captured_at) as captured, count(shipped_at) as shipped,
       count(delivered_at) as delivered
from analytics_orderfact where placed_at >= %(begin)s and placed_at < %(end)s
"""
_DURATIONS = """
with step as (
    select case step when 1 then 'confirmed' when 2 then 'captured' else 'shipped' end as step,
           extract(epoch from case step when 1 then confirmed_at - placed_at when 2 then captured_at - placed_at
                              else shipped_at - placed_at end)::float8 as seconds,
           cancelled_at is null as is_open, step as place
    from analytics_orderfact cross join generate_series(1, 3) as step
    where placed_at >= %(begin)s and placed_at < %(end)s)
select step, count(seconds) as orders,
       percentile_cont(array[0.5, 0.95, 0.99]) within group (order by seconds) as percentiles,
       count(*) filter (where seconds is null and is_open) as waiting
from step group by step, place order by place
"""
VISIT_STEPS = {
    **{"visited": "Visits", "viewed": "Viewed a product", "cart": "Filled the cart"},
    **{"checkout": "Opened the checkout", "ordered": "Ordered"},
}
ORDER_STEPS = {
    **{"placed": "Placed", "ready": "Stock reserved and payment authorized", "confirmed": "Confirmed"},
    **{"captured": "Paid", "shipped": "Shipped", "delivered": "Delivered"},
}


def _list_steps(names: dict[str, str], counts: Row) -> list[Row]:
    """Return a row for each step; shares are of the first step and of the step before."""
    rows, first, before = list[Row](), next(iter(counts.values())), None
    for name, words in names.items():
        count = counts[name]
        share = count / first if first else None
        kept = count / before if before else None
        rows.append({"step": words, "count": count if first else None, "share": share, "kept": kept})
        before = count
    return rows


def read_visits(period: Period, complete: Completeness) -> list[Row]:
    """Return the steps of visits that began in the period and ended more than 30 minutes ago."""
    sums = read_sums(period, complete.until)
    return _list_steps(VISIT_STEPS, {name: add_up(sums, name) for name in VISIT_STEPS})


def read_abandoned(period: Period, complete: Completeness) -> list[Row]:
    """Return the abandoned carts by currency; carts without a checkout have no known amount."""
    sums = sorted(read_sums(period, complete.until).items())
    return [
        {"currency": currency or "none", "carts": row["abandoned"], "amount": row["amount"]}
        for currency, row in sums
        if row["abandoned"]
    ]


def read_orders(period: Period, complete: Completeness) -> list[Row]:
    """Return the steps that the orders of the period have reached by now."""
    return _list_steps(ORDER_STEPS, fetch(_ORDERS, period.as_values())[0])


def read_durations(period: Period, complete: Completeness) -> list[Row]:
    """Return percentiles of the seconds from the order to each step, and the orders that still wait."""
    rows = []
    for row in fetch(_DURATIONS, period.as_values()):
        p50, p95, p99 = row["percentiles"] or (None, None, None)
        one = {"step": row["step"], "orders": row["orders"], "p50": p50, "p95": p95, "p99": p99}
        rows.append({**one, "waiting": row["waiting"]})
    return rows
