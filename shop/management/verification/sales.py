"""Analytics against the orders: what its counters must be if every applied event was counted exactly once."""

from collections.abc import Iterator

from django.db import connection, transaction

from analytics.verification import sales_by_minute

# Counted from the orders, not from the events; an order counts as soon as analytics has applied its event.
_RECOUNT = """
with happened as (
    select r.id, r.currency, r.total, kind, event, at from orders_order r
    cross join lateral (values ('placed', 'OrderPlaced', placed_at), ('confirmed', 'OrderConfirmed', confirmed_at),
                               ('cancelled', 'OrderCancelled', cancelled_at)) as h (kind, event, at)
    where at is not null)
select date_trunc('minute', at, 'UTC'), kind, currency, count(*)::bigint, sum(units)::bigint, sum(total)::bigint
from happened
cross join lateral (select sum(quantity) as units from orders_orderline where order_id = happened.id) as lines
join relay_outbox o on o.topic = 'shop.orders' and o.key = happened.id::text and split_part(o.type, '.', 1) = event
join relay_cursor c on c.consumer = 'analytics' and c.topic = o.topic and c.key = o.key and c.last >= o.sequence
group by 1, 2, 3
"""


def find_recount_differences() -> Iterator[str]:
    """Name the minutes in which the counters differ from the recount."""
    with transaction.atomic(), connection.cursor() as cursor:
        # One snapshot for both sides: orders keep coming in meanwhile.
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute(_RECOUNT)
        recount = {(minute, kind, currency): tuple(sums) for minute, kind, currency, *sums in cursor.fetchall()}
        counted = sales_by_minute()
    for minute, kind, currency in sorted(recount.keys() | counted.keys()):
        expected = recount.get((minute, kind, currency), (0, 0, 0))
        found = counted.get((minute, kind, currency), (0, 0, 0))
        if expected != tuple(found):
            yield (
                f"{minute:%Y-%m-%d %H:%M} {kind} {currency}: analytics has {found} as orders, units and revenue,"
                f" the orders say {expected}"
            )
