"""Traces: the rows that an applied event must leave in the tables of each consumer."""

from collections.abc import Sequence
from typing import NamedTuple


class Trace(NamedTuple):
    """Rows of `table` with the event's id. The columns `once` differ in each of them, so that a repeated row shows.

    :param events: names of event types without their version.
    :param least: SQL of the number of rows that the event `s`, a row of the outbox, must leave.
    """

    consumer: str
    effect: str
    table: str
    once: str
    events: tuple[str, ...]
    least: str = "1"


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
    Trace("analytics", "sale", "analytics_sale", "event_id", ("OrderPlaced", "OrderConfirmed", "OrderCancelled")),
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
