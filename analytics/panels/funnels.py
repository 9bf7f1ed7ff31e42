"""Funnels of visits and orders, and the durations of an order's steps."""

from analytics.completeness import Completeness
from analytics.panels.period import Period
from analytics.panels.placed import find_percentile, read_placed
from analytics.panels.placed import read_durations as read_seconds
from analytics.panels.reading import Row, add_up
from analytics.panels.visits import read_sums
from analytics.sums import STEPS

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
    placed, durations, rows = read_placed(period), read_seconds(period), list[Row]()
    for step in STEPS:
        p50, p95, p99 = (find_percentile(durations[step], share) for share in (0.5, 0.95, 0.99))
        row = {"step": step, "orders": durations[step].total(), "p50": p50, "p95": p95, "p99": p99}
        rows.append({**row, "waiting": add_up(placed, f"{step}_waiting")})
    return rows
