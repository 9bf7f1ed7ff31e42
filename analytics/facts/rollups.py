"""The parts of the statement that write order_line_fact, product_hour, minute and arrival."""

from analytics.facts.columns import Part, split_columns
from analytics.facts.rows import Rows

_ADDED = (
    *("views", "carts", "ordered_units", "ordered_amount"),
    *("confirmed_units", "confirmed_amount", "rejected_units", "rejected_amount"),
)
# A rejection counts when its line has both a price (OrderPlaced) and a shortage (StockRejected): the later of both
# events finds the other one in the returned row. The lines of a confirmed order exist, because OrderPlaced precedes
# OrderConfirmed in their common stream.
_WRITE_PRODUCTS = f"""
given_line as (
    select order_id, sku, min(placed_at) as placed_at, sum(quantity)::int as quantity, min(unit_price) as unit_price,
           min(currency) as currency, min(rejected_at) as rejected_at, min(missing) as missing
    from (
        select *, null::timestamptz as rejected_at, null::int as missing
        from unnest(%(line_order)s::uuid[], %(line_sku)s::text[], %(line_at)s::timestamptz[], %(line_quantity)s::int[],
                    %(line_price)s::bigint[], %(line_currency)s::text[])
            as line (order_id, sku, placed_at, quantity, unit_price, currency)
        union all
        select order_id, sku, null, null, null, null, rejected_at, missing
        from unnest(%(short_order)s::uuid[], %(short_sku)s::text[], %(short_at)s::timestamptz[],
                    %(short_missing)s::int[]) as short (order_id, sku, rejected_at, missing)) rows
    group by order_id, sku),
line as (
    insert into {{schema}}.analytics_orderlinefact as f
        (order_id, sku, placed_at, quantity, unit_price, currency, rejected_at, missing)
    select * from given_line order by order_id, sku
    on conflict (order_id, sku) do update set
        placed_at = coalesce(f.placed_at, excluded.placed_at), quantity = coalesce(f.quantity, excluded.quantity),
        unit_price = coalesce(f.unit_price, excluded.unit_price), currency = coalesce(f.currency, excluded.currency),
        rejected_at = coalesce(f.rejected_at, excluded.rejected_at), missing = coalesce(f.missing, excluded.missing)
    returning *),
added as (
    select hour, sku, currency, views, carts, ordered_units, ordered_amount, 0 as confirmed_units,
           0::bigint as confirmed_amount, 0 as rejected_units, 0::bigint as rejected_amount
    from unnest(%(hour)s::timestamptz[], %(hour_sku)s::text[], %(hour_currency)s::text[], %(views)s::bigint[],
                %(carts)s::bigint[], %(ordered_units)s::bigint[], %(ordered_amount)s::bigint[])
        as hour (hour, sku, currency, views, carts, ordered_units, ordered_amount)
    union all
    select date_trunc('hour', at, 'UTC'), sku, currency, 0, 0, 0, 0, quantity, quantity * unit_price, 0, 0
    from unnest(%(confirmed_order)s::uuid[], %(confirmed_at)s::timestamptz[]) as confirmed (order_id, at)
    join {{schema}}.analytics_orderlinefact using (order_id)
    union all
    select date_trunc('hour', rejected_at, 'UTC'), sku, currency, 0, 0, 0, 0, 0, 0, missing, missing * unit_price
    from line where rejected_at is not null and unit_price is not null),
hour_written as (
    insert into {{schema}}.analytics_producthour as f (hour, sku, currency, {", ".join(_ADDED)})
    select hour, sku, currency, {", ".join(f"sum({name})" for name in _ADDED)} from added
    group by hour, sku, currency order by hour, sku, currency
    on conflict (hour, sku, currency) do update set
        {", ".join(f"{name} = f.{name} + excluded.{name}" for name in _ADDED)}
    returning hour)
"""  # noqa: S608 - our own names
_WRITE_MINUTES = """
counted as materialized (
    select * from unnest(%(minute)s::timestamptz[], %(minute_kind)s::text[], %(minute_currency)s::text[],
                         %(minute_count)s::bigint[], %(minute_units)s::bigint[], %(minute_amount)s::bigint[])
        as counted (minute, kind, currency, count, units, amount)),
arrived as (
    insert into {schema}.analytics_arrival as f (minute, arrived, count)
    select minute, date_trunc('minute', statement_timestamp(), 'UTC'), sum(count)
    from counted group by minute order by minute
    on conflict (minute, arrived) do update set count = f.count + excluded.count),
minute_written as (
    insert into {schema}.analytics_minute as f (minute, kind, currency, count, units, amount)
    select * from counted order by minute, kind, currency
    on conflict (minute, kind, currency) do update set
        count = f.count + excluded.count, units = f.units + excluded.units, amount = f.amount + excluded.amount)
"""
_LINE = ("line_order", "line_sku", "line_at", "line_quantity", "line_price", "line_currency")
_SHORT = ("short_order", "short_sku", "short_at", "short_missing")
_HOUR = ("hour", "hour_sku", "hour_currency", "views", "carts", "ordered_units", "ordered_amount")
_MINUTE = ("minute", "minute_kind", "minute_currency", "minute_count", "minute_units", "minute_amount")


def _list_products(rows: Rows) -> dict[str, str]:
    if not (rows.lines or rows.shortages or rows.hours or rows.confirmed):
        return {}
    values = split_columns(_LINE, rows.lines) | split_columns(_SHORT, rows.shortages)
    values |= split_columns(("confirmed_order", "confirmed_at"), rows.confirmed)
    return values | split_columns(_HOUR, [(*key, *counts) for key, counts in rows.hours.items()])


def _list_minutes(rows: Rows) -> dict[str, str]:
    return split_columns(_MINUTE, [(*key, *counts) for key, counts in rows.minutes.items()])


#: The lines of orders and the shortages, and the counts of both and of views by hour and SKU.
PRODUCTS = Part(_WRITE_PRODUCTS, _list_products, "select hour from hour_written")
#: The counts by minute and kind, and by minute and minute of arrival. Every event has them.
MINUTES = Part(_WRITE_MINUTES, _list_minutes, "select minute from counted")
