"""Moving orders through their life, many at a time. What is decided and what is told of it are committed together."""

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
# Orders are locked in the order of their ids. The units are those of all lines.
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
    """What happened to an order, and the event that told of it or else the person who did it, and why."""

    order_id: UUID
    happening: Happening
    event_id: UUID | None = None
    by: str = ""
    note: str = ""


def advance_order(
    order_id: UUID, happening: Happening, event_id: UUID | None = None, *, by: str = "", note: str = ""
) -> Order:
    """Let `happening` meet one order, as :func:`advance_orders` does, and return it."""
    return advance_orders([Move(order_id, happening, event_id, by, note)])[0]


def advance_orders(moves: Sequence[Move]) -> list[Order]:
    """Apply each happening to its order: store the decision, publish what follows, and return the orders.

    Several moves of one order take place in the order of the list. A move without an event (staff, deadline) is
    recorded under the event that is published for it. Needs an open transaction: the orders are locked first, since
    the two answers come on different workers at once.

    :raises Order.DoesNotExist: there is no such order.
    :raises ImpossibleTransition: it can't happen in this state.
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
        if event_id := move.event_id or (event and event.event_id):  # without one nothing happened
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
