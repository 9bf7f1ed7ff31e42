"""Comparison of analytics with the orders: the counters must equal a recount of the applied events."""

from collections.abc import Iterator

from django.db import connection

# The recount reads the orders; an order counts if analytics has applied its event. One statement reads both sides at
# the same moment, because new orders arrive during the check.
_RECOUNT = """
with happened as (
    select id, currency, total, unnest(array['placed', 'confirmed', 'cancelled']) as kind,
           unnest(array['OrderPlaced', 'OrderConfirmed', 'OrderCancelled']) as event,
           unnest(array[placed_at, confirmed_at, cancelled_at]) as at
    from orders_order),
lines as (select order_id, sum(quantity)::bigint as units from orders_orderline group by order_id),
recount as (
    select date_trunc('minute', at, 'UTC') as minute, kind, currency,
           count(*) as orders, sum(units) as units, sum(total)::bigint as revenue
    from happened
    left join lines on lines.order_id = happened.id
    join relay_outbox o on o.topic = 'shop.orders' and o.key = happened.id::text and split_part(o.type, '.', 1) = event
    join relay_cursor c on c.consumer = 'analytics' and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
    where at is not null
    group by 1, 2, 3)
select minute, kind, currency,
       coalesce(a.orders, 0), coalesce(a.units, 0), coalesce(a.revenue, 0),
       coalesce(r.orders, 0), coalesce(r.units, 0), coalesce(r.revenue, 0)
from analytics_salesminute a full join recount r using (minute, kind, currency)
where (a.orders, a.units, a.revenue) is distinct from (r.orders, r.units, r.revenue)
order by minute, kind, currency
"""


def find_recount_differences() -> Iterator[str]:
    """Report the minutes in which the counters of analytics differ from the recount."""
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT)
        for minute, kind, currency, *sums in cursor.fetchall():
            yield (
                f"{minute:%Y-%m-%d %H:%M} {kind} {currency}: analytics has {tuple(map(int, sums[:3]))} as orders, units"
                f" and revenue, but the orders have {tuple(map(int, sums[3:]))}"
            )
