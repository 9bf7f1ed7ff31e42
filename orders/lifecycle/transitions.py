"""Writes that apply the saga to orders, many at a time. The new states and their events share one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone

from orders.lifecycle.saga import Decision, Happening, State, decide
from orders.models import Order
from orders.prices.promotions import give_back
from relay import Event, publish_many
from relay.arrays import to_array
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped

_ORDER = ", ".join(str(field.column) for field in Order._meta.concrete_fields)
# Every transaction locks orders sorted by id, so that two transactions do not deadlock. `units` counts all lines.
_LOCK = f"""
select {_ORDER}, (select sum(quantity) from orders_orderline line where line.order_id = o.id)::int as units
from orders_order o where id = any(%(ids)s::uuid[]) order by id for update of o
"""  # noqa: S608 - names of columns
_COLUMNS = ("id", "status", "stock", "payment", "reason", "confirmed_at", "shipped_at", "delivered_at", "cancelled_at")
_WRITE = """
with moved as (
    update orders_order as o
    set status = new.status, stock = new.stock, payment = new.payment, reason = new.reason,
        confirmed_at = new.confirmed_at, shipped_at = new.shipped_at,
        delivered_at = new.delivered_at, cancelled_at = new.cancelled_at
    from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
        as new (id, status, stock, payment, reason, confirmed_at, shipped_at, delivered_at, cancelled_at)
    where o.id = new.id)
insert into orders_transition (order_id, event, event_id, before, after, at, by, note)
select * from unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[],
                     %s::text[])
"""


class _Step(NamedTuple):
    """A row of an order's history."""

    order_id: UUID
    event: str
    event_id: UUID
    before: str
    after: str
    at: datetime
    by: str
    note: str


class Move(NamedTuple):
    """A happening of an order, with its cause: an event, or a person (`by`) and the reason (`note`)."""

    order_id: UUID
    happening: Happening
    event_id: UUID | None = None
    by: str = ""
    note: str = ""


def advance_order(
    order_id: UUID, happening: Happening, event_id: UUID | None = None, *, by: str = "", note: str = ""
) -> Order:
    """Apply `happening` to one order by :func:`advance_orders`, and return the order."""
    return advance_orders([Move(order_id, happening, event_id, by, note)])[0]


def advance_orders(moves: Sequence[Move]) -> list[Order]:
    """Apply each happening to its order by the saga's table: store the new states and publish the events.

    Return the order of each move. Several moves of one order apply in their sequence in `moves`. The history records a
    move without an event (staff, deadline) under the id of the event that it publishes. Needs an open transaction, in
    which the orders are locked first: several consumers may apply answers to one order at once.

    :raises Order.DoesNotExist: an order does not exist.
    :raises ImpossibleTransition: the table has no row for a happening in the order's state.
    """
    orders = _lock({move.order_id for move in moves})
    now = timezone.now()
    steps, events, changed = list[_Step](), list[Event](), dict[UUID, Order]()
    for move in moves:
        order = orders[move.order_id]
        before = State(order.status, order.stock, order.payment)
        decision = decide(before, move.happening)
        event = _make_event(order, decision) if decision.publish else None
        at = event.occurred_at if event else now
        if decision.state != before:
            _apply(order, decision, at)
            changed[order.pk] = order
        if event:
            events.append(event)
        if event_id := move.event_id or (event and event.event_id):  # without an id the move changes nothing
            step = (order.pk, move.happening.value, event_id, before.status, order.status, at, move.by, move.note)
            steps.append(_Step(*step))
    _write([*changed.values()], steps)
    give_back([event.order_id for event in events if isinstance(event, OrderCancelled)])
    publish_many(events)
    return [orders[move.order_id] for move in moves]


def _lock(ids: set[UUID]) -> dict[UUID, Order]:
    found = {order.pk: order for order in Order.objects.raw(_LOCK, {"ids": to_array(ids)})}
    if missing := ids - set(found):
        raise Order.DoesNotExist(f"no order {min(missing)}")
    return found


def _make_event(order: Order, decision: Decision) -> Event:
    known: dict[str, Any] = {"order_id": order.id, "number": order.number, "contact_id": order.contact_id}
    match decision.publish:
        case "OrderShipped":
            return OrderShipped(**known)
        case "OrderDelivered":
            return OrderDelivered(**known)
    amounts: dict[str, Any] = {"currency": order.currency, "total": order.total, "units": order.units}  # type: ignore[attr-defined]
    if decision.publish == "OrderConfirmed":
        return OrderConfirmed(**known, **amounts)
    return OrderCancelled(**known, **amounts, reason=decision.reason)


def _apply(order: Order, decision: Decision, at: datetime) -> None:
    order.status, order.stock, order.payment = decision.state.status, decision.state.stock, decision.state.payment
    if decision.publish:
        order.reason = decision.reason
        setattr(order, f"{order.status}_at", at)


def _write(orders: Sequence[Order], steps: Sequence[_Step]) -> None:
    if steps:
        columns = [[getattr(order, name) for order in orders] for name in _COLUMNS]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [*columns, *(list(column) for column in zip(*steps, strict=True))])
