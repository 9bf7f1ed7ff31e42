"""Orders that were declined, cancelled or refunded."""

from collections import Counter, defaultdict

from analytics.completeness import Completeness
from analytics.models import Kind
from analytics.panels.period import Period
from analytics.panels.placed import add_amounts, read_placed
from analytics.panels.reading import Row, add_up, fetch

_REFUNDS = """
select currency, coalesce(sum(count) filter (where kind = %(refunded)s), 0)::bigint as refunds,
       coalesce(sum(amount) filter (where kind = %(refunded)s), 0)::bigint as refunded,
       coalesce(sum(amount) filter (where kind = %(captured)s), 0)::bigint as captured
from analytics_minute where kind = any(%(kinds)s) and minute >= %(begin)s and minute < %(end)s
group by currency order by currency
"""


def read_declines(period: Period, complete: Completeness) -> list[Row]:
    """Return the declined payments by reason; the share is of all decided payments."""
    placed = read_placed(period)
    orders, decided = Counter[str](), add_up(placed, "decided")
    for row in placed:
        if row["is_declined"]:
            orders[_name(row["decline_reason"])] += row["placed"]
    found = sorted(orders.items(), key=lambda item: (-item[1], item[0]))
    return [{"reason": reason, "orders": count, "share": count / decided} for reason, count in found]


def read_cancellations(period: Period, complete: Completeness) -> list[Row]:
    """Return the cancelled orders by reason and currency."""
    groups = defaultdict[tuple[str, str], list[Row]](list)
    for row in read_placed(period):
        if row["is_cancelled"]:
            groups[_name(row["reason"]), row["currency"] or ""].append(row)
    found = [
        {"reason": reason, "currency": currency, "orders": add_up(rows, "placed"), "amount": add_amounts(rows)}
        for (reason, currency), rows in groups.items()
    ]
    return sorted(found, key=lambda row: (-row["orders"], row["reason"], row["currency"]))


def _name(reason: str | None) -> str:
    return "unknown" if reason is None else reason


def read_refunds(period: Period, complete: Completeness) -> list[Row]:
    """Return the refunds by currency, next to the captured amounts of the same time."""
    kinds = {"refunded": Kind.REFUNDED.value, "captured": Kind.CAPTURED.value}
    rows = fetch(_REFUNDS, {**period.as_values(), **kinds, "kinds": list(kinds.values())})
    return [{**row, "share": row["refunded"] / row["captured"] if row["captured"] else None} for row in rows]
