"""Handlers that count sales and visitors' activity by the minute in which an event occurred, not when it arrived."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import connection

from analytics.models import ActivityMinute, Kind, Sale, SalesMinute
from relay import Consumer
from relay.arrays import to_array
from shop.events import ActivityEvent, CartChanged, OrderCancelled, OrderConfirmed, OrderPlaced, ProductViewed


def forget_counts() -> None:
    """Empty the tables before a rebuild, which fills them again from the events."""
    for model in (Sale, SalesMinute, ActivityMinute):
        model.objects.all().delete()


consumer = Consumer("analytics", rebuild=forget_counts, pace_ms=200)
KINDS = {OrderPlaced: Kind.PLACED, OrderConfirmed: Kind.CONFIRMED, OrderCancelled: Kind.CANCELLED}
ACTIVITIES: dict[type[ActivityEvent], ActivityMinute.Kind] = {
    ProductViewed: ActivityMinute.Kind.VIEWED,
    CartChanged: ActivityMinute.Kind.CART_CHANGED,
}


@consumer.on(OrderPlaced, OrderConfirmed, OrderCancelled, many=True)
def count_orders(events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled]) -> None:
    """Insert a Sale for each event and add it to its minute's counter, both in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with sale as (
                insert into analytics_sale (event_id, kind, order_id, units, revenue, currency, minute)
                select * from unnest(%(events)s::uuid[], %(kinds)s::text[], %(orders)s::uuid[], %(units)s::int[],
                                     %(revenues)s::bigint[], %(currencies)s::text[], %(minutes)s::timestamptz[])
                returning *
            )
            insert into analytics_salesminute as counted (minute, kind, currency, orders, units, revenue)
            select minute, kind, currency, count(*), sum(units), sum(revenue) from sale
            group by minute, kind, currency order by minute, kind, currency
            on conflict (minute, kind, currency) do update
            set orders = counted.orders + excluded.orders,
                units = counted.units + excluded.units,
                revenue = counted.revenue + excluded.revenue
            """,
            {
                "events": to_array(event.event_id for event in events),
                "kinds": to_array(KINDS[type(event)].value for event in events),
                "orders": to_array(event.order_id for event in events),
                "units": to_array(count_units(event) for event in events),
                "revenues": to_array(event.total for event in events),
                "currencies": to_array(event.currency for event in events),
                "minutes": to_array(cut_to_minute(event.occurred_at) for event in events),
            },
        )


def count_units(event: OrderPlaced | OrderConfirmed | OrderCancelled) -> int:
    """Return the number of pieces in the order."""
    return sum(line.quantity for line in event.lines) if isinstance(event, OrderPlaced) else event.units


@consumer.on(ProductViewed, CartChanged, many=True)
def count_activity(events: Sequence[ActivityEvent]) -> None:
    """Add each event to the counter of its kind and minute."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into analytics_activityminute as counted (minute, kind, count)
            select minute, kind, count(*) from unnest(%(minutes)s::timestamptz[], %(kinds)s::text[])
                as happened (minute, kind)
            group by minute, kind order by minute, kind
            on conflict (minute, kind) do update set count = counted.count + excluded.count
            """,
            {
                "minutes": to_array(cut_to_minute(event.occurred_at) for event in events),
                "kinds": to_array(ACTIVITIES[type(event)].value for event in events),
            },
        )


def cut_to_minute(moment: datetime) -> datetime:
    """Return the start of the minute that contains `moment`, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
