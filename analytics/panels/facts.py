"""The rows behind the figures, a page at a time. Visitors' ids and the link from a visit to an order are left out."""

from analytics.panels.period import Period
from analytics.panels.reading import Row, fetch

#: Rows of a page, and the last page; a CSV file has the whole panel.
PAGE, LAST_PAGE = 50, 200
_ORDER = (
    "order_id, placed_at, confirmed_at, captured_at, shipped_at, delivered_at, cancelled_at, reason, decline_reason,"
    " currency, total, refunded, units, nth_order, channel"
)
_PLACED = f"select {_ORDER} from analytics_orderfact where placed_at >= %(begin)s and placed_at < %(end)s"  # noqa: S608
_NEWEST = "order by placed_at desc, order_id"
#: Name of the rows: (words, statement). Every statement has an order.
FACTS = {
    "orders": ("Orders placed in the period", f"{_PLACED} {_NEWEST}"),
    "declined": ("Orders with a declined payment", f"{_PLACED} and declined_at is not null {_NEWEST}"),
    "cancelled": ("Cancelled orders", f"{_PLACED} and cancelled_at is not null {_NEWEST}"),
    "refunded": (
        "Minutes with refunds",
        "select minute, currency, count, amount from analytics_minute where kind = 'refunded' and minute >= %(begin)s"
        " and minute < %(end)s order by minute desc, currency",
    ),
    "sessions": (
        "Visits that began in the period",
        "select began_at, ended_at, events, views, carts, checkouts, orders, cart_units, cart_amount, currency"
        " from analytics_session where day >= (%(begin)s::timestamptz at time zone 'UTC')::date"
        " and day <= (%(end)s::timestamptz at time zone 'UTC')::date and began_at >= %(begin)s and began_at < %(end)s"
        " order by began_at desc, visitor",
    ),
    "products": (
        "Hours of products",
        "select hour, sku, currency, views, carts, ordered_units, ordered_amount, confirmed_units, rejected_units"
        " from analytics_producthour where hour >= date_trunc('hour', %(begin)s::timestamptz, 'UTC')"
        " and hour < %(end)s order by hour desc, ordered_units desc, sku, currency",
    ),
    "sold_out": (
        "Times without stock",
        "select sku, began_at, ended_at from analytics_soldout where began_at < %(end)s"
        " and coalesce(ended_at, %(end)s) >= %(begin)s order by began_at desc, sku",
    ),
    "arrivals": (
        "Minutes with late events",
        "select minute, arrived, count from analytics_arrival where minute >= %(begin)s and minute < %(end)s"
        " and arrived - minute > interval '1 minute' order by minute desc, arrived",
    ),
}


def read_facts(name: str, period: Period, page: int) -> tuple[list[Row], bool]:
    """Return the rows of a page, from 1 to LAST_PAGE, and whether a next page exists."""
    values = {**period.as_values(), "limit": PAGE + 1, "offset": (page - 1) * PAGE}
    rows = fetch(f"{FACTS[name][1]} limit %(limit)s offset %(offset)s", values)
    return rows[:PAGE], len(rows) > PAGE and page < LAST_PAGE
