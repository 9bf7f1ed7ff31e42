"""Placing an order, and moving it through its life. The order and its event are committed together or not at all."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders.models import IdempotencyKey, Order, OrderLine, Transition
from orders.saga import Happening, State, decide
from relay.event import Event
from relay.outbox import publish
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.events import OrderCancelled, OrderConfirmed, OrderDelivered, OrderedLine, OrderPlaced, OrderShipped
from shop.tokens import sign_order

# Crockford's base 32: no letter that is taken for a digit. Ten of them are 50 bits: after a million orders one in a
# thousand million new ones meets its number in use, fails, and gets another when the client tries again.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class IdempotencyKeyReused(Exception):
    """The key was used before, with another request."""


class UnknownProducts(Exception):
    """Some lines name a SKU that is not sold here. `skus` maps the line's index to its SKU."""

    def __init__(self, skus: dict[int, str]) -> None:
        super().__init__(f"not sold here: {', '.join(skus.values())}")
        self.skus = skus


@dataclass(frozen=True, slots=True)
class Placement:
    """The answer that the client gets, and whether it had been given before."""

    answer: dict[str, Any]
    replayed: bool


def place_order(*, idempotency_key: str, request: dict[str, Any]) -> Placement:
    """Place the order of a validated request (``OrderRequest.validated_data``), once for each key.

    :raises IdempotencyKeyReused: the key came with another request before.
    :raises UnknownProducts: a SKU is not in the catalogue, or is not sold any more.
    """
    request_hash = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        known = _find_answer(idempotency_key, request_hash)
        if known is not None:
            return known
        order, lines = _price(request)
        answer = _describe(order, lines)
        if not _claim_key(idempotency_key, request_hash, order, answer):
            # Another request with this key committed while this one waited for its row.
            known = _find_answer(idempotency_key, request_hash)
            assert known is not None
            return known
        _store(order, lines, request)
    return Placement({**answer, "access_token": sign_order(order.id)}, replayed=False)


def _find_answer(key: str, request_hash: str) -> Placement | None:
    stored = IdempotencyKey.objects.filter(key=key).first()
    if stored is None:
        return None
    if stored.request_hash != request_hash:
        raise IdempotencyKeyReused("this Idempotency-Key was used with another request: take a new key for a new order")
    return Placement({**stored.answer, "access_token": sign_order(stored.order_id)}, replayed=True)


def _claim_key(key: str, request_hash: str, order: Order, answer: dict[str, Any]) -> bool:
    """Insert the key, waiting for a transaction that has just inserted it; False if that one committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into orders_idempotencykey (key, request_hash, order_id, answer, created_at)"
            " values (%s, %s, %s, %s::jsonb, now()) on conflict (key) do nothing",
            [key, request_hash, order.id, json.dumps(answer)],
        )
        return bool(cursor.rowcount)


def _price(request: dict[str, Any]) -> tuple[Order, list[OrderLine]]:
    """Build the order with the catalogue's names and prices; the client's are never asked for."""
    skus = [line["sku"] for line in request["lines"]]
    products = Product.objects.filter(is_active=True).in_bulk(skus)
    unknown = {index: sku for index, sku in enumerate(skus) if sku not in products}
    if unknown:
        raise UnknownProducts(unknown)
    now = timezone.now()
    order = Order(
        id=uuid7(),
        number="".join(secrets.choice(_ALPHABET) for _ in range(10)),
        currency=settings.SHOP_CURRENCY,
        placed_at=now,
        deadline_at=now + timedelta(hours=settings.ORDER_DEADLINE_HOURS),
    )
    lines = [
        OrderLine(
            order=order,
            sku=line["sku"],
            name=products[line["sku"]].name,
            quantity=line["quantity"],
            unit_price=products[line["sku"]].price,
            line_total=products[line["sku"]].price * line["quantity"],
        )
        for line in request["lines"]
    ]
    order.total = sum(line.line_total for line in lines)
    return order, lines


def _describe(order: Order, lines: list[OrderLine]) -> dict[str, Any]:
    return {
        "id": str(order.id),
        "number": order.number,
        "status": str(order.status),
        "currency": order.currency,
        "total": order.total,
        "lines": [
            {name: getattr(line, name) for name in ("sku", "name", "quantity", "unit_price", "line_total")}
            for line in lines
        ],
        "placed_at": order.placed_at.isoformat().replace("+00:00", "Z"),
    }


def _store(order: Order, lines: list[OrderLine], request: dict[str, Any]) -> None:
    address = request["shipping_address"]
    contact = Contact.objects.create(email=request["email"], phone=request["phone"], **address)
    order.contact_id = contact.id
    order.save(force_insert=True)
    OrderLine.objects.bulk_create(lines)
    event = OrderPlaced(
        occurred_at=order.placed_at,
        order_id=order.id,
        number=order.number,
        contact_id=contact.id,
        currency=order.currency,
        total=order.total,
        lines=[OrderedLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in lines],
        payment_token=request["payment_token"],
    )
    Transition.objects.create(
        order=order, event="OrderPlaced", event_id=event.event_id, after=order.status, at=order.placed_at
    )
    publish(event)


def advance_order(order_id: UUID, happening: Happening, event_id: UUID | None = None) -> Order:
    """Let `happening` meet the order: write down what is decided and publish what follows.

    `event_id` is the event that told of it; without one (staff, deadline) the published event stands for it. Needs an
    open transaction: the order is locked first, since the two answers come on different workers at once.

    :raises Order.DoesNotExist: there is no such order.
    :raises ImpossibleTransition: it can't happen in this state.
    """
    order = Order.objects.select_for_update(of=("self",)).get(pk=order_id)
    before = State(order.status, order.stock, order.payment)
    decision = decide(before, happening)
    event = _make_event(order, decision.publish, decision.reason) if decision.publish else None
    cause = event_id or (event.event_id if event else None)
    if cause is None:
        return order  # nothing happened, and nothing told of it
    at = event.occurred_at if event else timezone.now()
    order.status, order.stock, order.payment = decision.state.status, decision.state.stock, decision.state.payment
    if event is not None:
        order.reason = decision.reason
        setattr(order, f"{order.status}_at", at)
    order.save()
    Transition.objects.create(
        order=order,
        event=happening.value,
        event_id=cause,
        before=before.status,
        after=order.status,
        at=at,
    )
    if event is not None:
        publish(event)
    return order


def _make_event(order: Order, name: str, reason: str) -> Event:
    known: dict[str, Any] = {"order_id": order.id, "number": order.number, "contact_id": order.contact_id}
    match name:
        case "OrderShipped":
            return OrderShipped(**known)
        case "OrderDelivered":
            return OrderDelivered(**known)
    units = sum(order.lines.values_list("quantity", flat=True))
    amounts: dict[str, Any] = {"currency": order.currency, "total": order.total, "units": units}
    if name == "OrderConfirmed":
        return OrderConfirmed(**known, **amounts)
    return OrderCancelled(**known, **amounts, reason=reason)
