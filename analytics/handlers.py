"""What analytics counts: sales and visitors' activity, in the minute in which they happened, not that of arrival."""

from datetime import UTC, datetime

from django.db import connection

from analytics.models import ActivityMinute, Kind, Sale, SalesMinute
from relay.consumer import Consumer
from shop.events import CartChanged, OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, ProductViewed


def forget_counts() -> None:
    """Empty the tables for a rebuild: all that stands in them follows from the events."""
    for model in (Sale, SalesMinute, ActivityMinute):
        model.objects.all().delete()


consumer = Consumer("analytics", rebuild=forget_counts)


@consumer.on(OrderPlaced)
def count_placed_order(event: OrderPlaced) -> None:
    record_sale(event, Kind.PLACED, sum(line.quantity for line in event.lines), event.total, event.currency)


@consumer.on(OrderConfirmed)
def count_confirmed_order(event: OrderConfirmed) -> None:
    record_sale(event, Kind.CONFIRMED, event.units, event.total, event.currency)


@consumer.on(OrderCancelled)
def count_cancelled_order(event: OrderCancelled) -> None:
    record_sale(event, Kind.CANCELLED, event.units, event.total, event.currency)


@consumer.on(ProductViewed)
def count_view(event: ProductViewed) -> None:
    count_activity(event.occurred_at, ActivityMinute.Kind.VIEWED)


@consumer.on(CartChanged)
def count_cart_change(event: CartChanged) -> None:
    count_activity(event.occurred_at, ActivityMinute.Kind.CART_CHANGED)


def cut_to_minute(moment: datetime) -> datetime:
    """Return the beginning of the minute, in UTC, that `moment` lies in."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def record_sale(event: OrderEvent, kind: Kind, units: int, revenue: int, currency: str) -> None:
    """Write the event's Sale and add it to its minute, in one statement, so that neither exists without the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with sale as (
                insert into analytics_sale (event_id, kind, order_id, units, revenue, currency, minute)
                values (%s, %s, %s, %s, %s, %s, %s) returning *
            )
            insert into analytics_salesminute as counted (minute, kind, currency, orders, units, revenue)
            select minute, kind, currency, 1, units, revenue from sale
            on conflict (minute, kind, currency) do update
            set orders = counted.orders + 1,
                units = counted.units + excluded.units,
                revenue = counted.revenue + excluded.revenue
            """,
            [event.event_id, kind, event.order_id, units, revenue, currency, cut_to_minute(event.occurred_at)],
        )


def count_activity(occurred_at: datetime, kind: ActivityMinute.Kind) -> None:
    """Add one to the count of the minute."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into analytics_activityminute as counted (minute, kind, count) values (%s, %s, 1)
            on conflict (minute, kind) do update set count = counted.count + 1
            """,
            [cut_to_minute(occurred_at), kind],
        )
