"""The one statement that stores an order: key, contact, order, lines, history and event, all of it or nothing.

A single statement is a transaction of its own: on the hot path there is no BEGIN and no COMMIT to wait for.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders.pricing import Amounts, Line
from relay.outbox import PUBLISH_WITH_CAUSE, READ_COMMITTED, encode_event
from shop.events import OrderedLine, OrderPlaced
from shop.statements import run_prepared

# Crockford's base 32: no letter that is taken for a digit. Ten of them are 50 bits: after a million orders one in a
# thousand million new ones meets its number in use, fails, and gets another when the client tries again.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# The insert of the key comes first: a concurrent duplicate waits here, and writes nothing if the first one commits.
_STORE = f"""
with cause as (
    insert into orders_idempotencykey (key, request_hash, order_id, answer, created_at)
    select %(idempotency_key)s, %(request_hash)s, %(order_id)s::uuid, %(answer)s::jsonb, now()
    where {READ_COMMITTED}
    on conflict (key) do nothing returning order_id),
contact as (
    insert into contacts_contact (id, email, phone, name, line1, line2, postal_code, city, country, created_at)
    select %(contact_id)s::uuid, %(email)s, %(phone)s, %(name)s, %(line1)s, %(line2)s, %(postal_code)s, %(city)s,
           %(country)s, now() from cause),
placed as (
    insert into orders_order (id, number, customer_id, status, stock, payment, reason, contact_id, currency,
                              discount, shipping, tax, total, placed_at, deadline_at)
    select order_id, %(number)s, %(customer_id)s::int, 'placed', 'pending', 'pending', '', %(contact_id)s::uuid,
           %(currency)s, %(discount)s::bigint, %(shipping)s::bigint, %(tax)s::bigint, %(total)s::bigint,
           %(occurred_at)s::timestamptz,
           %(occurred_at)s::timestamptz + make_interval(hours => %(deadline_hours)s::int) from cause),
line as (
    insert into orders_orderline (order_id, sku, name, quantity, unit_price, line_total)
    select order_id, l.sku, l.name, l.quantity, l.unit_price, l.line_total
    from cause, jsonb_to_recordset(%(answer)s::jsonb -> 'lines')
        as l (sku text, name text, quantity int, unit_price int, line_total bigint)),
step as (
    insert into orders_transition (order_id, event, event_id, before, after, at)
    select order_id, 'OrderPlaced', %(event_id)s::uuid, '', 'placed', %(occurred_at)s::timestamptz from cause),
{PUBLISH_WITH_CAUSE}
"""  # noqa: S608 - two constants of the relay


AMOUNTS = ("subtotal", "discount", "shipping", "tax", "total")
#: What the answer has, in this order, and its lines.
FIELDS = ("id", "number", "status", "currency", *AMOUNTS, "lines", "placed_at")
LINE_FIELDS = ("sku", "name", "quantity", "unit_price", "line_total")
_encode_json = msgspec.json.Encoder().encode


class KeyTaken(Exception):
    """An order with this idempotency key was committed before."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that is priced and not stored yet."""

    idempotency_key: str
    request_hash: str
    customer_id: object
    lines: list[Line]
    amounts: Amounts
    request: dict[str, Any]


def store_order(draft: Draft) -> dict[str, Any]:
    """Store the order and publish OrderPlaced, in one statement, and return the answer that its key is given.

    :raises KeyTaken: another order has the key; this waited for it. Nothing was stored.
    """
    order_id, contact_id, number, now = uuid7(), uuid4(), make_number(), timezone.now()
    answer = describe(draft, order_id, number, now)
    amounts = draft.amounts
    event = OrderPlaced(
        occurred_at=now,
        order_id=order_id,
        number=number,
        contact_id=contact_id,
        currency=amounts.currency,
        discount=amounts.discount,
        shipping=amounts.shipping,
        tax=amounts.tax,
        total=amounts.total,
        lines=[OrderedLine(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price) for line in draft.lines],
        payment_token=draft.request["payment_token"],
    )
    values = {
        **encode_event(event),
        **draft.request["shipping_address"],
        "email": draft.request["email"],
        "phone": draft.request["phone"],
        "idempotency_key": draft.idempotency_key,
        "request_hash": draft.request_hash,
        "answer": _encode_json(answer).decode(),
        "order_id": order_id,
        "contact_id": contact_id,
        "customer_id": draft.customer_id,
        "number": number,
        "currency": amounts.currency,
        "discount": amounts.discount,
        "shipping": amounts.shipping,
        "tax": amounts.tax,
        "total": amounts.total,
        "deadline_hours": settings.ORDER_DEADLINE_HOURS,
    }
    if not run_prepared(_STORE, {name: None if value is None else str(value) for name, value in values.items()}):
        raise KeyTaken
    return answer


def make_number() -> str:
    """Return a new order number as people read it."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


def describe(draft: Draft, order_id: UUID, number: str, placed_at: datetime) -> dict[str, Any]:
    """The answer, without the access token."""
    amounts = draft.amounts
    return {
        "id": str(order_id),
        "number": number,
        "status": "placed",
        "currency": amounts.currency,
        "subtotal": amounts.subtotal,
        "discount": amounts.discount,
        "shipping": amounts.shipping,
        "tax": amounts.tax,
        "total": amounts.total,
        "lines": [
            {
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "line_total": line.line_total,
            }
            for line in draft.lines
        ],
        "placed_at": placed_at.isoformat().replace("+00:00", "Z"),
    }
