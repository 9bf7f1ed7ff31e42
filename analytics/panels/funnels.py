"""Funnels of visits and orders, and the durations of an order's steps."""

from analytics.completeness import Completeness
from analytics.panels.period import Period
from analytics.panels.placed import read_placed
from analytics.panels.reading import Row, add_up, fetch
from analytics.panels.visits import read_sums

_STEPS = ("confirmed", "captured", "shipped")
_DURATIONS = ", ".join(
    f"count({step}_at) as {step}_orders, count(*) filter (where {step}_at is null and cancelled_at is null)"
    f" as {step}_waiting, percentile_cont(array[0.5, 0.95, 0.99]) within group"
    f" (order by date_part('epoch', {step}_at - placed_at)) as {step}_percentiles"
    for step in _STEPS
)
_DURATIONS = f"select {_DURATIONS} from analytics_orderfact where placed_at >= %(begin)s and placed_at < %(end)s"  # noqa: S608
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
    return _list_steps(VISIT_STEPS, {name: add_up(sums.values(), name) for name in VISIT_STEPS})


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
    placed = read_placed(period)
    return _list_steps(ORDER_STEPS, {name: add_up(placed, name) for name in ORDER_STEPS})


def read_durations(period: Period, complete: Completeness) -> list[Row]:
    """Return percentiles of the seconds from the order to each step, and the orders that still wait."""
    found, rows = fetch(_DURATIONS, period.as_values())[0], []
    for step in _STEPS:
        p50, p95, p99 = found[f"{step}_percentiles"] or (None, None, None)
        row = {"step": step, "orders": found[f"{step}_orders"], "p50": p50, "p95": p95, "p99": p99}
        rows.append({**row, "waiting": found[f"{step}_waiting"]})
    return rows
