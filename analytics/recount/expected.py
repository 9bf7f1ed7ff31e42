"""SQL that computes the tables from the rows of the outbox. It shares nothing with the handlers.

The sums of days are computed from the tables that they sum up, which are compared themselves.
"""
# ruff: noqa: S608 - our own names

from analytics import sums
from analytics.generation import TABLES
from analytics.sessions import SUMS

# The applied events of one consumer, with the fields that the tables need. `offset 0` parses each body once. Events
# that a person has skipped are not applied.
EVENTS = """
create temporary table recount_event on commit drop as
select split_part(o.type, '.', 1) as event, o.topic, o.key, o.sequence, o.event_id, o.occurred_at as at,
       b ->> 'currency' as currency, coalesce(b ->> 'total', b ->> 'amount')::bigint as amount,
       (b ->> 'units')::int as units, (b ->> 'quantity')::int as quantity, (b ->> 'available')::int as available,
       b ->> 'reason' as reason, b ->> 'sku' as sku, (b ->> 'visitor')::uuid as visitor,
       (b ->> 'order_id')::uuid as order_id, case when b ?| '{lines,shortages}' then b end as body
from relay_outbox o
join relay_cursor c on c.consumer = %(consumer)s and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
cross join lateral (select o.body::jsonb as b offset 0) parsed
where o.topic = any(%(topics)s)
  and not exists (select from relay_intervention i where i.action = 'skip' and i.consumer = %(consumer)s
                    and i.topic = o.topic and i.key = o.key and i.sequence = o.sequence)
"""
#: The lines of orders and the shortages of rejected orders, from recount_event.
LINES = """
create temporary table recount_line on commit drop as
select order_id, at, currency, line ->> 'sku' as sku, sum((line ->> 'quantity')::int)::int as quantity,
       min((line ->> 'unit_price')::bigint) as unit_price
from recount_event, jsonb_array_elements(body -> 'lines') as line where event = 'OrderPlaced'
group by order_id, at, currency, line ->> 'sku';
create temporary table recount_shortage on commit drop as
select order_id, at, short ->> 'sku' as sku,
       greatest((short ->> 'requested')::int - (short ->> 'available')::int, 0) as missing
from recount_event, jsonb_array_elements(body -> 'shortages') as short where event = 'StockRejected';
analyze recount_event; analyze recount_line; analyze recount_shortage
"""
#: The kind of each event in `minute` and `activity`.
KINDS = {
    **{"OrderPlaced": "placed", "OrderConfirmed": "confirmed", "OrderCancelled": "cancelled"},
    **{"OrderShipped": "shipped", "OrderDelivered": "delivered", "StockReserved": "reserved"},
    **{"StockRejected": "rejected", "StockLow": "low", "StockBack": "back", "PaymentAuthorized": "authorized"},
    **{"PaymentDeclined": "declined", "PaymentCaptured": "captured", "PaymentFailed": "failed"},
    **{"PaymentVoided": "voided", "PaymentRefunded": "refunded", "ProductViewed": "viewed"},
    **{"CartChanged": "cart_changed", "CheckoutStarted": "checkout_started"},
    **{"CheckoutCompleted": "checkout_completed"},
}
_KINDS = "(values " + ", ".join(f"('{event}', '{kind}')" for event, kind in KINDS.items()) + ") as k (event, kind)"


def _first(event: str) -> str:
    """Return the expression for the time of the first `event` of an order."""
    return f"min(at) filter (where event = '{event}')"


_ORDERS = f"""
select coalesce(order_id, key::uuid) as order_id, {_first("OrderPlaced")} as placed_at,
       {_first("StockReserved")} as reserved_at, {_first("StockRejected")} as rejected_at,
       {_first("PaymentAuthorized")} as authorized_at, {_first("PaymentDeclined")} as declined_at,
       {_first("OrderConfirmed")} as confirmed_at, {_first("PaymentCaptured")} as captured_at,
       {_first("OrderShipped")} as shipped_at, {_first("OrderDelivered")} as delivered_at,
       {_first("OrderCancelled")} as cancelled_at, max(reason) filter (where event = 'OrderCancelled') as reason,
       max(reason) filter (where event = 'PaymentDeclined') as decline_reason,
       max(body ->> 'currency') as currency, max(coalesce(body ->> 'discount', '0')::bigint) filter (where placed)
           as discount,
       max(coalesce(body ->> 'shipping', '0')::bigint) filter (where placed) as shipping,
       max(coalesce(body ->> 'tax', '0')::bigint) filter (where placed) as tax,
       max(amount) filter (where placed) as total,
       max(pieces)::int as units, coalesce(sum(amount) filter (where event = 'PaymentRefunded'), 0)::bigint as refunded,
       max((body ->> 'nth_order')::int) as nth_order, max(body ->> 'first_order_month') as first_order_month,
       bool_or((body ->> 'first_this_month')::boolean) as first_this_month, max(body ->> 'channel') as channel
from (select *, event = 'OrderPlaced' as placed from recount_event where event ~ '^(Order|Payment|StockRe)') happened
left join (select order_id, sum(quantity) as pieces from recount_line group by order_id) lines using (order_id)
group by 1
"""
_LINES = """
select order_id, sku, l.at as placed_at, quantity, unit_price, currency, s.at as rejected_at, missing
from recount_line l full join recount_shortage s using (order_id, sku)
"""
_ACTIVITY = f"""
select event_id, at, visitor, kind, coalesce(sku, '') as sku,
       case when event = 'CheckoutStarted' then units else quantity end as quantity, amount,
       coalesce(currency, '') as currency, order_id
from recount_event join {_KINDS} using (event) where visitor is not null
"""
_MINUTES = f"""
select date_bin('1 minute', at, 'epoch') as minute, kind, coalesce(currency, '') as currency, count(*) as count,
       coalesce(sum(coalesce(pieces, units, quantity)), 0)::bigint as units,
       coalesce(sum(amount), 0)::bigint as amount
from recount_event join {_KINDS} using (event)
left join (select order_id, 'OrderPlaced' as event, sum(quantity) as pieces from recount_line group by order_id) lines
    using (order_id, event)
group by 1, 2, 3
"""
_HOURS = """
select date_bin('1 hour', at, 'epoch') as hour, sku, currency,
       sum(views)::bigint as views, sum(carts)::bigint as carts,
       sum(ordered)::bigint as ordered_units, sum(ordered * price)::bigint as ordered_amount,
       sum(confirmed)::bigint as confirmed_units, sum(confirmed * price)::bigint as confirmed_amount,
       sum(rejected)::bigint as rejected_units, sum(rejected * price)::bigint as rejected_amount
from (
    select at, sku, '' as currency, (event = 'ProductViewed')::int as views,
           (event = 'CartChanged' and quantity > 0)::int as carts, 0 as ordered, 0 as confirmed, 0 as rejected,
           0 as price
    from recount_event where event = 'ProductViewed' or (event = 'CartChanged' and quantity > 0)
    union all
    select at, sku, currency, 0, 0, quantity, 0, 0, unit_price from recount_line
    union all
    select e.at, l.sku, l.currency, 0, 0, 0, l.quantity, 0, unit_price
    from recount_event e join recount_line l using (order_id) where e.event = 'OrderConfirmed'
    union all
    select s.at, sku, l.currency, 0, 0, 0, 0, missing, unit_price
    from recount_shortage s join recount_line l using (order_id, sku)) counted
group by 1, 2, 3
"""
# Each activity is a range of 30 minutes, and ranges that touch are one visit.
_SESSIONS = """
with activity as (
    select *, (at at time zone 'UTC')::date as day from recount_event where visitor is not null),
visit as (
    select a.*, lower(span) as began_at
    from activity a join (
        select day, visitor, unnest(range_agg(tstzrange(at, at + interval '30 minutes', '[]'))) as span
        from activity group by day, visitor) merged using (day, visitor)
    where a.at <@ span),
cart as (
    select day, visitor, began_at, sum(quantity)::int as units from (
        select distinct on (day, visitor, began_at, sku) day, visitor, began_at, quantity
        from visit where event = 'CartChanged' order by day, visitor, began_at, sku, at desc, event_id desc) line
    group by 1, 2, 3),
checkout as (
    select distinct on (day, visitor, began_at) day, visitor, began_at, amount, currency from visit
    where event = 'CheckoutStarted' order by day, visitor, began_at, at desc, event_id desc),
bought as (
    select distinct on (day, visitor, began_at) day, visitor, began_at, order_id from visit
    where event = 'CheckoutCompleted' order by day, visitor, began_at, at desc, event_id desc)
select day, visitor, began_at, max(v.at) as ended_at, count(*)::int as events,
       sum((event = 'ProductViewed')::int)::int as views,
       sum((event = 'CartChanged' and quantity > 0)::int)::int as carts,
       sum((event = 'CheckoutStarted')::int)::int as checkouts, sum((event = 'CheckoutCompleted')::int)::int as orders,
       coalesce(max(cart.units), 0) as cart_units, max(checkout.amount) as cart_amount,
       coalesce(max(checkout.currency), '') as currency, max(bought.order_id::text)::uuid as order_id
from visit v left join cart using (day, visitor, began_at) left join checkout using (day, visitor, began_at)
left join bought using (day, visitor, began_at)
group by day, visitor, began_at
"""
# The changes between sold out and available, in the order of the SKU's stream.
_SOLD_OUT = """
select sku, at as began_at, next_at as ended_at from (
    select *, lead(at) over (partition by sku order by sequence) as next_at from (
        select sku, at, sequence, event, lag(event) over (partition by sku order by sequence) as former
        from recount_event where event = 'StockBack' or (event = 'StockLow' and available <= 0)) stock
    where former is distinct from event and not (former is null and event = 'StockBack')) changed
where event = 'StockLow'
"""
#: The statement that computes a table, by its name.
EXPECTED = {
    "order_fact": _ORDERS,
    "order_line_fact": _LINES,
    "activity": _ACTIVITY,
    "minute": _MINUTES,
    "product_hour": _HOURS,
    "session": _SESSIONS,
    "session_day": SUMS.format(
        keys="day, currency", is_over="true", sessions="{schema}.analytics_session", chosen="true"
    ),
    "sold_out": _SOLD_OUT,
    **{
        name: one.compose(
            f"({one.at} at time zone 'UTC')::date",
            f"(select * from {{schema}}.{TABLES[one.table]} where ({one.at} at time zone 'UTC')::date in"
            " (select day from {schema}.analytics_minuteday)) source",
        )
        for name, one in sums.SUMS.items()
    },
}
