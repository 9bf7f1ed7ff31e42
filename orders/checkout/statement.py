"""The statement that stores an order: idempotency key, contact, payment token, order, lines, history and event.

A single statement is its own transaction. This saves the round trips of BEGIN and COMMIT.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders.checkout.buyers import COUNT_ORDER, COUNTED_BODY, name_buyer
from orders.prices.amounts import AMOUNT_FIELDS, LINE_FIELDS, Amounts, Line
from relay.publisher.outbox import READ_COMMITTED, publish_with_cause
from shop.events import OrderedLine, OrderPlaced
from shop.statements import run_prepared

# Crockford's base 32 has no letters that look like digits. Ten characters are 50 bits. After a million orders, the
# number of a new order is taken once in 10^9 times; the request fails, and the client's retry gets another number.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# The first insert is the key: a concurrent duplicate waits for it, and stores nothing if the first request commits.
# Remembered prices are compared with the catalogue in the statement's own snapshot.
_CAUSE = f"""
cause as (
    insert into orders_idempotencykey (key, request_hash, order_id, answer, created_at)
    select %(idempotency_key)s, %(request_hash)s, %(order_id)s::uuid, %(answer)s::jsonb, now()
    where {READ_COMMITTED}
      and not (%(remembered)s::boolean and exists (
        select from jsonb_to_recordset(%(answer)s::jsonb -> 'lines') as l (sku text, name text, unit_price int)
        where not exists (select from catalogue_product p
                          where p.sku = l.sku and p.is_active and p.most_per_customer is null
                            and (p.name, p.price) = (l.name, l.unit_price))))
    on conflict (key) do nothing returning order_id),
contact as (
    insert into contacts_contact (id, email, phone, name, line1, line2, postal_code, city, country, created_at)
    select %(contact_id)s::uuid, %(email)s, %(phone)s, %(name)s, %(line1)s, %(line2)s, %(postal_code)s, %(city)s,
           %(country)s, now() from cause),
token as (
    insert into vault_paymenttoken (reference, token, created_at)
    select %(payment_reference)s::uuid, %(payment_token)s, now() from cause),
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
{COUNT_ORDER}"""  # noqa: S608 - constants of the relay and of buyers


#: The fields of the answer, in this order.
FIELDS = ("id", "number", "status", *AMOUNT_FIELDS, "lines", "placed_at")
#: The way of an order into the shop.
Channel = Literal["web", "api"]
_encode_json = msgspec.json.Encoder().encode


class NotStored(Exception):
    """An order with this idempotency key exists, or a remembered price differs from the catalogue."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for an order. `key` is the stored form of the idempotency key; a guest has no `customer_id`.

    `buyer` has the keys of the buyer.
    """

    key: str
    request_hash: str
    request: dict[str, Any]
    customer_id: int | None
    buyer: list[str]
    channel: Channel


@dataclass(frozen=True, slots=True)
class Draft:
    """An order with prices that is not stored yet. `remembered` is true if the prices come from the process's cache."""

    wish: Wish
    lines: list[Line]
    amounts: Amounts
    remembered: bool = False


def store_order(draft: Draft) -> dict[str, Any]:
    """Store the order and publish OrderPlaced by one statement. Return the answer that is stored with the key.

    :raises NotStored: an order with this key exists, or a remembered price differs from the catalogue.
    """
    order_id, contact_id, reference, number, now = uuid7(), uuid7(), str(uuid7()), make_number(), timezone.now()
    answer = describe(draft, order_id, number, now)
    wish, amounts = draft.wish, draft.amounts
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
        payment_reference=reference,
        channel=wish.channel,
        # The statement counts the buyer's orders and replaces these three.
        nth_order=None,
        first_order_month=None,
        first_this_month=None,
    )
    statement, published = publish_with_cause(_CAUSE, event, body=COUNTED_BODY)
    values = {
        **published,
        **name_buyer(wish.buyer, f"{now:%Y-%m}"),
        **wish.request["shipping_address"],
        "email": wish.request["email"],
        "phone": wish.request["phone"],
        "idempotency_key": wish.key,
        "request_hash": wish.request_hash,
        "answer": _encode_json(answer).decode(),
        "order_id": order_id,
        "contact_id": contact_id,
        "payment_reference": reference,
        "payment_token": wish.request["payment_token"],
        "customer_id": wish.customer_id,
        "number": number,
        **{name: answer[name] for name in AMOUNT_FIELDS},
        "deadline_hours": settings.ORDER_DEADLINE_HOURS,
        "remembered": draft.remembered,
    }
    if not run_prepared(statement, {name: None if value is None else str(value) for name, value in values.items()}):
        raise NotStored
    return answer


def make_number() -> str:
    """Return a new random order number, for example EVV9DXXJZG."""
    bits = secrets.randbits(50)
    return "".join(_ALPHABET[bits >> place & 31] for place in range(0, 50, 5))


def describe(draft: Draft, order_id: UUID, number: str, placed_at: datetime) -> dict[str, Any]:
    """Return the answer of a new order: the fields FIELDS, without the access token."""
    return {
        "id": str(order_id),
        "number": number,
        "status": "placed",
        **{name: getattr(draft.amounts, name) for name in AMOUNT_FIELDS},
        "lines": [{name: getattr(line, name) for name in LINE_FIELDS} for line in draft.lines],
        "placed_at": placed_at.isoformat().replace("+00:00", "Z"),
    }
