"""Traces: the rows that an applied event must leave in the tables of each consumer."""

from collections.abc import Sequence
from typing import NamedTuple


class Trace(NamedTuple):
    """Rows of `table` that an event leaves. The columns `once` differ in each of them, so that a repeated row shows.

    :param events: names of event types without their version.
    :param least: SQL of the number of rows that the event `s`, a row of the outbox, must leave.
    :param where: SQL condition for the rows `e` of the event `s`.
    """

    consumer: str
    effect: str
    table: str
    once: str
    events: tuple[str, ...]
    least: str = "1"
    where: str = "e.event_id = s.event_id"


def _trace_milestone(event: str, column: str) -> Trace:
    """Return the trace of an event of an order in analytics: the order's row with the time of the event's kind."""
    where = f"e.order_id = s.key::uuid and e.{column} is not null"
    return Trace("analytics", "order fact", "analytics_orderfact", "order_id", (event,), where=where)


# An order whose stock was rejected has no movements, and a backorder has none yet. A cancelled order releases what it
# had reserved.
_PLACED_MOVEMENTS = """case
    when exists (select from relay_outbox r where r.topic = 'shop.inventory' and r.key = s.key
                   and r.type like 'StockRejected.%%') then 0
    when exists (select from inventory_backorder b where b.order_id = s.key::uuid) then 0
    else (select count(distinct l.sku) from orders_orderline l where l.order_id = s.key::uuid) end"""
_ORDERED_MOVEMENTS = "(select count(distinct l.sku) from orders_orderline l where l.order_id = s.key::uuid)"
_RESERVED_MOVEMENTS = "(select count(*) from inventory_reservation v where v.order_id = s.key::uuid)"

#: Each order has an e-mail and a message in the shop; an SMS only with a telephone.
TRACES: Sequence[Trace] = (
    Trace("payments", "payment", "payments_payment", "event_id", ("OrderPlaced",)),
    _trace_milestone("OrderPlaced", "placed_at"),
    _trace_milestone("OrderConfirmed", "confirmed_at"),
    _trace_milestone("OrderCancelled", "cancelled_at"),
    Trace(
        "notifications",
        "message",
        "notifications_message",
        "channel",
        ("OrderConfirmed", "OrderShipped", "OrderDelivered", "OrderCancelled"),
        "2",
    ),
    Trace("inventory", "movement", "inventory_movement", "sku", ("OrderPlaced",), _PLACED_MOVEMENTS),
    Trace("inventory", "movement", "inventory_movement", "sku", ("OrderConfirmed",), _ORDERED_MOVEMENTS),
    Trace("inventory", "movement", "inventory_movement", "sku", ("OrderCancelled",), _RESERVED_MOVEMENTS),
    Trace(
        "orders",
        "transition",
        "orders_transition",
        "event_id",
        (
            "StockReserved",
            "StockRejected",
            "PaymentAuthorized",
            "PaymentDeclined",
            "PaymentCaptured",
            "PaymentFailed",
            "PaymentVoided",
            "PaymentRefunded",
        ),
    ),
)
