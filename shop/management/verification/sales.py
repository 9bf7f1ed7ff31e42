"""Analytics against the orders: what its counters must be if every applied event was counted exactly once."""

from collections.abc import Iterator

from django.db import connection

# Counted from the orders, not from the events; an order counts as soon as analytics has applied its event. One
# statement, so that both sides are of one moment: orders keep coming in meanwhile.
_RECOUNT = """
with happened as (
    select r.id, r.currency, r.total, kind, event, at from orders_order r
    cross join lateral (values ('placed', 'OrderPlaced', placed_at), ('confirmed', 'OrderConfirmed', confirmed_at),
                               ('cancelled', 'OrderCancelled', cancelled_at)) as h (kind, event, at)
    where at is not null),
recount as (
    select date_trunc('minute', at, 'UTC') as minute, kind, currency,
           count(*) as orders, sum(lines.units) as units, sum(total)::bigint as revenue
    from happened
    cross join lateral (select sum(quantity)::bigint as units from orders_orderline where order_id = happened.id) lines
    join relay_outbox o on o.topic = 'shop.orders' and o.key = happened.id::text and split_part(o.type, '.', 1) = event
    join relay_cursor c on c.consumer = 'analytics' and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
    group by 1, 2, 3)
select minute, kind, currency,
       coalesce(a.orders, 0), coalesce(a.units, 0), coalesce(a.revenue, 0),
       coalesce(r.orders, 0), coalesce(r.units, 0), coalesce(r.revenue, 0)
from analytics_salesminute a full join recount r using (minute, kind, currency)
where (a.orders, a.units, a.revenue) is distinct from (r.orders, r.units, r.revenue)
order by minute, kind, currency
"""


def find_recount_differences() -> Iterator[str]:
    """Name the minutes in which the counters differ from the recount."""
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT)
        for minute, kind, currency, *sums in cursor.fetchall():
            yield (
                f"{minute:%Y-%m-%d %H:%M} {kind} {currency}: analytics has {tuple(map(int, sums[:3]))} as orders, units"
                f" and revenue, the orders say {tuple(map(int, sums[3:]))}"
            )
