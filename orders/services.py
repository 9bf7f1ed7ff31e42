"""Placing an order. The order and its event are committed together or not at all."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders.models import IdempotencyKey, Order, OrderLine, Transition
from relay.outbox import publish
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.events import OrderedLine, OrderPlaced
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


def scope_key(key: str, caller_id: object) -> str:
    """Return the stored form of a caller's Idempotency-Key. As sent it has no blank: no guest meets a user's."""
    return key if caller_id is None else f"{caller_id} {key}"


def place_order(*, idempotency_key: str, request: dict[str, Any], caller: AbstractBaseUser | None = None) -> Placement:
    """Place the order of a validated request (``OrderRequest.validated_data``), once for each key of the caller.

    `caller` is the customer who is logged in, None for a guest. Safe to repeat with the same arguments after any error,
    also when the outcome of the COMMIT is unknown.

    :raises IdempotencyKeyReused: the key came with another request before.
    :raises UnknownProducts: a SKU is not in the catalogue, or is not sold any more.
    """
    customer_id = caller.pk if caller else None
    key = scope_key(idempotency_key, customer_id)
    request_hash = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        known = _find_answer(key, request_hash)
        if known is not None:
            return known
        order, lines = _price(request)
        order.customer_id = customer_id
        answer = _describe(order, lines)
        if not _claim_key(key, request_hash, order, answer):
            # Another request with this key committed while this one waited for its row.
            known = _find_answer(key, request_hash)
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
