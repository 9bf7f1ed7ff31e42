"""Orders that were declined, cancelled or refunded."""

from collections import Counter, defaultdict

from analytics.completeness import Completeness
from analytics.models import Kind
from analytics.panels.pace import read_counts
from analytics.panels.period import Period
from analytics.panels.placed import add_amounts, read_placed
from analytics.panels.reading import Row, add_up


def read_declines(period: Period, complete: Completeness) -> list[Row]:
    """Return the declined payments by reason; the share is of all decided payments."""
    placed = read_placed(period)
    orders, decided = Counter[str](), add_up(placed, "decided")
    for row in placed:
        if row["decline"]:
            orders[row["decline"]] += row["placed"]
    found = sorted(orders.items(), key=lambda item: (-item[1], item[0]))
    return [{"reason": reason, "orders": count, "share": count / decided} for reason, count in found]


def read_cancellations(period: Period, complete: Completeness) -> list[Row]:
    """Return the cancelled orders by reason and currency."""
    groups = defaultdict[tuple[str, str], list[Row]](list)
    for row in read_placed(period):
        if row["cancellation"]:
            groups[row["cancellation"], row["currency"]].append(row)
    found = [
        {"reason": reason, "currency": currency, "orders": add_up(rows, "placed"), "amount": add_amounts(rows)}
        for (reason, currency), rows in groups.items()
    ]
    return sorted(found, key=lambda row: (-row["orders"], row["reason"], row["currency"]))


def read_refunds(period: Period, complete: Completeness) -> list[Row]:
    """Return the refunds by currency, next to the captured amounts of the same time."""
    found: dict[str, Row] = {}
    for row in sorted(read_counts(period), key=lambda one: one["currency"]):
        if row["kind"] != Kind.PLACED:
            sums = found.setdefault(
                row["currency"], {"currency": row["currency"], "refunds": 0, "refunded": 0, "captured": 0}
            )
            sums[row["kind"]] += row["amount"]
            sums["refunds"] += row["count"] if row["kind"] == Kind.REFUNDED else 0
    return [
        {**sums, "share": sums["refunded"] / sums["captured"] if sums["captured"] else None} for sums in found.values()
    ]
