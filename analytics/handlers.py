"""What analytics counts: sales and visitors' activity, in the minute in which they happened, not that of arrival."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import connection

from analytics.models import ActivityMinute, Kind, Sale, SalesMinute
from relay.consumer import Consumer
from shop.events import ActivityEvent, CartChanged, OrderCancelled, OrderConfirmed, OrderPlaced, ProductViewed


def forget_counts() -> None:
    """Empty the tables for a rebuild: all that stands in them follows from the events."""
    for model in (Sale, SalesMinute, ActivityMinute):
        model.objects.all().delete()


consumer = Consumer("analytics", rebuild=forget_counts)


@consumer.on(OrderPlaced, many=True)
def count_placed_orders(events: Sequence[OrderPlaced]) -> None:
    record_sales(Kind.PLACED, events, [sum(line.quantity for line in event.lines) for event in events])


@consumer.on(OrderConfirmed, many=True)
def count_confirmed_orders(events: Sequence[OrderConfirmed]) -> None:
    record_sales(Kind.CONFIRMED, events, [event.units for event in events])


@consumer.on(OrderCancelled, many=True)
def count_cancelled_orders(events: Sequence[OrderCancelled]) -> None:
    record_sales(Kind.CANCELLED, events, [event.units for event in events])


@consumer.on(ProductViewed, many=True)
def count_views(events: Sequence[ProductViewed]) -> None:
    count_activity(ActivityMinute.Kind.VIEWED, events)


@consumer.on(CartChanged, many=True)
def count_cart_changes(events: Sequence[CartChanged]) -> None:
    count_activity(ActivityMinute.Kind.CART_CHANGED, events)


def cut_to_minute(moment: datetime) -> datetime:
    """Return the beginning of the minute, in UTC, that `moment` lies in."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def record_sales(
    kind: Kind, events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled], units: Sequence[int]
) -> None:
    """Write each event's Sale and add it to its minute, in one statement, so that neither exists without the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with sale as (
                insert into analytics_sale (event_id, kind, order_id, units, revenue, currency, minute)
                select event_id, %(kind)s, order_id, units, revenue, currency, minute
                from unnest(%(events)s::uuid[], %(orders)s::uuid[], %(units)s::int[], %(revenues)s::bigint[],
                            %(currencies)s::text[], %(minutes)s::timestamptz[])
                    as sold (event_id, order_id, units, revenue, currency, minute)
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
                "kind": kind,
                "events": [event.event_id for event in events],
                "orders": [event.order_id for event in events],
                "units": list(units),
                "revenues": [event.total for event in events],
                "currencies": [event.currency for event in events],
                "minutes": [cut_to_minute(event.occurred_at) for event in events],
            },
        )


def count_activity(kind: ActivityMinute.Kind, events: Sequence[ActivityEvent]) -> None:
    """Add each event to the count of its minute."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into analytics_activityminute as counted (minute, kind, count)
            select minute, %(kind)s, count(*) from unnest(%(minutes)s::timestamptz[]) as happened (minute)
            group by minute order by minute
            on conflict (minute, kind) do update set count = counted.count + excluded.count
            """,
            {"kind": kind, "minutes": [cut_to_minute(event.occurred_at) for event in events]},
        )
