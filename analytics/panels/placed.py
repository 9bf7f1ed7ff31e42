"""The sums of all orders placed in a period, and their durations, read once for five panels."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from analytics.panels.days import STRETCHES, read_rows
from analytics.panels.period import Period
from analytics.panels.reading import Row
from analytics.sums import COUNTS, DURATIONS, KEYS, ORDERS

_KEYS = ", ".join(KEYS)
_STORED = f"""
select {_KEYS}, {", ".join(f"sum({name})::bigint as {name}" for name in COUNTS)}
from analytics_orderday where day = any(%(days)s) group by {_KEYS}
"""  # noqa: S608 - our own names
_STORED_DURATIONS = """
select step, seconds, sum(orders)::bigint as orders from analytics_durationday where day = any(%(days)s) group by 1, 2
"""
_PLACED = STRETCHES.format(table="analytics_orderfact", at="placed_at")
_READ, _READ_DURATIONS = (statement.format(day="null::date", orders=_PLACED) for statement in (ORDERS, DURATIONS))


def read_placed(period: Period) -> list[Row]:
    """Return the counts and amounts of the orders of the period, by currency, buyer, and reasons of their failures.

    Rows of one group may repeat.
    """
    return read_rows("placed", period, _STORED, _READ)


def read_durations(period: Period) -> dict[str, Counter[float]]:
    """Return, for each step, the number of the period's orders by their rounded seconds until the step."""
    found: dict[str, Counter[float]] = defaultdict(Counter)
    for row in read_rows("durations", period, _STORED_DURATIONS, _READ_DURATIONS):
        found[row["step"]][row["seconds"]] += row["orders"]
    return found


def find_percentile(counts: Counter[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of all values do not exceed; None without a value."""
    wanted, seen = share * counts.total(), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return None


def add_amounts(rows: Iterable[Row]) -> int | None:
    """Return the amount of `rows`, which have one currency; None if no amount is known."""
    known = [row["amount"] for row in rows if row["amount"] is not None]
    return sum(known) if known else None
