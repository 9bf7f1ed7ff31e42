"""Moving orders through their life, many at a time. What is decided and what is told of it are committed together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from orders.models import Order, OrderLine, Transition
from orders.promotions import give_back
from orders.saga import Decision, Happening, State, decide
from relay.event import Event
from relay.outbox import publish_many
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderShipped

_COLUMNS = ("id", "status", "stock", "payment", "reason", "confirmed_at", "shipped_at", "delivered_at", "cancelled_at")
_WRITE = """
update orders_order as o
set status = new.status, stock = new.stock, payment = new.payment, reason = new.reason,
    confirmed_at = new.confirmed_at, shipped_at = new.shipped_at,
    delivered_at = new.delivered_at, cancelled_at = new.cancelled_at
from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
    as new (id, status, stock, payment, reason, confirmed_at, shipped_at, delivered_at, cancelled_at)
where o.id = new.id
"""


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
    """Let each happening meet its order: write down what is decided, publish what follows, and return the orders.

    No two moves may be of one order. A move without an event (staff, deadline) is recorded under the event that is
    published for it. Needs an open transaction: the orders are locked first, since the two answers come on different
    workers at once.

    :raises Order.DoesNotExist: there is no such order.
    :raises ImpossibleTransition: it can't happen in this state.
    """
    orders = _lock([move.order_id for move in moves])
    before = {order.pk: State(order.status, order.stock, order.payment) for order in orders.values()}
    decisions = {move.order_id: decide(before[move.order_id], move.happening) for move in moves}
    events = _make_events(orders, decisions)
    now = timezone.now()
    for order_id, decision in decisions.items():
        _apply(orders[order_id], decision, events[order_id].occurred_at if order_id in events else now)
    _write([order for order in orders.values() if decisions[order.pk].state != before[order.pk]])
    Transition.objects.bulk_create(
        Transition(
            order_id=move.order_id,
            event=move.happening.value,
            event_id=move.event_id or events[move.order_id].event_id,
            before=before[move.order_id].status,
            after=decisions[move.order_id].state.status,
            at=events[move.order_id].occurred_at if move.order_id in events else now,
            by=move.by,
            note=move.note,
        )
        for move in moves
        if move.event_id or move.order_id in events  # else nothing happened, and nothing told of it
    )
    give_back([pk for pk, event in events.items() if isinstance(event, OrderCancelled)])
    publish_many(list(events.values()))
    return [orders[move.order_id] for move in moves]


def _lock(ids: Sequence[UUID]) -> dict[UUID, Order]:
    orders = Order.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")
    found = {order.pk: order for order in orders}
    if missing := set(ids) - set(found):
        raise Order.DoesNotExist(f"no order {min(missing)}")
    return found


def _make_events(orders: dict[UUID, Order], decisions: dict[UUID, Decision]) -> dict[UUID, Event]:
    telling = [order_id for order_id, decision in decisions.items() if decision.publish]
    lines = OrderLine.objects.filter(order_id__in=telling).order_by().values_list("order_id")
    units = dict(lines.annotate(Sum("quantity"))) if telling else {}
    return {order_id: _make_event(orders[order_id], decisions[order_id], units[order_id]) for order_id in telling}


def _make_event(order: Order, decision: Decision, units: int) -> Event:
    known: dict[str, Any] = {"order_id": order.id, "number": order.number, "contact_id": order.contact_id}
    match decision.publish:
        case "OrderShipped":
            return OrderShipped(**known)
        case "OrderDelivered":
            return OrderDelivered(**known)
    amounts: dict[str, Any] = {"currency": order.currency, "total": order.total, "units": units}
    if decision.publish == "OrderConfirmed":
        return OrderConfirmed(**known, **amounts)
    return OrderCancelled(**known, **amounts, reason=decision.reason)


def _apply(order: Order, decision: Decision, at: datetime) -> None:
    order.status, order.stock, order.payment = decision.state.status, decision.state.stock, decision.state.payment
    if decision.publish:
        order.reason = decision.reason
        setattr(order, f"{order.status}_at", at)


def _write(orders: Sequence[Order]) -> None:
    if orders:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [[getattr(order, name) for order in orders] for name in _COLUMNS])
