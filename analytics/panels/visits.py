"""The sums of all visits of a period, read once for three panels."""

from datetime import datetime, timedelta

from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch, remember

#: A visit is over when its visitor was away for this long.
PAUSE = timedelta(minutes=30)
#: Seconds that the sums of past days are kept. Late events of these days show after this time.
PAST_KEPT = 600
#: Seconds in which the three panels of one page share the sums.
KEPT = 10
# `is_sure`: with one action nobody knows whether the cookie came back. `is_over`: the visit can't go on.
_SUMS = """
select currency, count(*) as sessions, count(*) filter (where sure) as visited,
       count(*) filter (where sure and orders > 0) as with_order,
       count(*) filter (where sure and views > 0) as viewed,
       count(*) filter (where sure and views > 0 and carts > 0) as cart,
       count(*) filter (where sure and views > 0 and carts > 0 and checkouts > 0) as checkout,
       count(*) filter (where sure and views > 0 and carts > 0 and checkouts > 0 and orders > 0) as ordered,
       count(*) filter (where ended_at < %(over)s and cart_units > 0 and orders = 0) as abandoned,
       sum(cart_amount) filter (where ended_at < %(over)s and cart_units > 0 and orders = 0)::bigint as amount
from (select *, events >= 2 and ended_at < %(over)s as sure from analytics_session
      where day >= %(first)s and day <= %(last)s and began_at >= %(begin)s and began_at < %(end)s) visit
group by currency
"""


def read_sums(period: Period, until: datetime) -> dict[str, Row]:
    """Return the sums by the currency of the visit's checkout ("" without a checkout)."""
    midnight = period.end.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
    midnight = midnight.replace(hour=0, minute=0, second=0, microsecond=0)
    if period.span != "month" or period.end < until:
        return remember(("visits", period.begin, until), KEPT, lambda: _read(period.begin, period.end, until))
    past = remember(("visits", period.begin, midnight), PAST_KEPT, lambda: _read(period.begin, midnight, until))
    today = remember(("visits today", midnight, until), KEPT, lambda: _read(midnight, period.end, until))
    return {currency: _add(past.get(currency), today.get(currency)) for currency in past.keys() | today.keys()}


def _read(begin: datetime, end: datetime, until: datetime) -> dict[str, Row]:
    days = {"first": begin.date(), "last": end.date()}
    rows = fetch(_SUMS, {"begin": begin, "end": end, "over": until - PAUSE, **days})
    return {row.pop("currency"): row for row in rows}


def _add(one: Row | None, other: Row | None) -> Row:
    """Return the sums of both rows; an unknown amount adds nothing."""
    if not one or not other:
        return one or other or {}
    return {name: (one[name] or 0) + (other[name] or 0) if one[name] or other[name] else one[name] for name in one}


def add_up(sums: dict[str, Row], name: str) -> int:
    """Return the number `name` over all currencies. Only counts may be added."""
    return sum(row[name] for row in sums.values())
