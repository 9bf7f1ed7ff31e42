"""place_order(): stores an order and its event in one transaction, once for each idempotency key."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction

from orders.cart.storage import take_cart
from orders.checkout.buyers import identify_buyer
from orders.checkout.caps import check_caps, record_capped
from orders.checkout.statement import FIELDS, Channel, Draft, NotStored, Wish, store_order
from orders.models import IdempotencyKey, Redemption
from orders.prices.amounts import LINE_FIELDS, Line, OrderRefused, add_up, check_expectation, price_lines
from orders.prices.promotions import clean_code, redeem
from shop.web.order_access import sign_order


class IdempotencyKeyReused(Exception):
    """The idempotency key was used before with a different request."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The response for the client. `replayed` is true if an earlier request created the order."""

    answer: dict[str, Any]
    replayed: bool


def scope_key(key: str, caller_id: object) -> str:
    """Return the stored form of a caller's key. Clients send keys without blanks: a guest's never equals a user's."""
    return key if caller_id is None else f"{caller_id} {key}"


def place_order(
    *, idempotency_key: str, request: dict[str, Any], caller: AbstractBaseUser | None = None, channel: Channel = "api"
) -> Placement:
    """Place the order of `request` (``OrderRequest.validated_data``), once for each key of the caller.

    `caller` is the logged-in customer, or None for a guest. `channel` is stored in the event only. A repetition with
    the same arguments is safe after any error, even if the result of the COMMIT is unknown.

    :raises IdempotencyKeyReused: the key was used before with a different request.
    :raises OrderRefused: a product, the cart, a price, the promotion or a cap forbids the order. Nothing is stored.
    """
    customer_id = caller.pk if caller else None
    request_hash = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
    wish = Wish(
        scope_key(idempotency_key, customer_id),
        request_hash,
        request,
        customer_id,
        identify_buyer(customer_id, request["email"]),
        channel,
    )
    try:
        answer = _place(wish)
    except (NotStored, OrderRefused):
        # The first request with this key may have taken the cart or the last use of the code: then replay its answer.
        known = _find_answer(wish.key, request_hash)
        if known is None:
            raise
        return known
    return Placement({**answer, "access_token": sign_order(UUID(answer["id"]))}, replayed=False)


def _find_answer(key: str, request_hash: str) -> Placement | None:
    stored = IdempotencyKey.objects.filter(key=key).first()
    if stored is None:
        return None
    if stored.request_hash != request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with a different request. Send a new key for a new order."
        )
    return Placement({**restore_answer(stored.answer), "access_token": sign_order(stored.order_id)}, replayed=True)


def restore_answer(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored answer with its fields in their original order, which jsonb does not keep.

    Answers from before migration 0005 have only the total. The missing `subtotal` becomes the total, the others 0.
    """
    known = {"subtotal": stored["total"], "discount": 0, "shipping": 0, "tax": 0, **stored}
    known["lines"] = [{name: line[name] for name in LINE_FIELDS} for line in stored["lines"]]
    return {name: known[name] for name in FIELDS}


def _place(wish: Wish) -> dict[str, Any]:
    if "lines" in wish.request and not wish.request.get("promotion_code"):
        with suppress(NotStored, OrderRefused):  # the prices in this process's cache may be outdated
            return _place_at_once(wish, remembered=True)
        with suppress(_Capped):
            return _place_at_once(wish, remembered=False)
    with transaction.atomic():
        return _place_guarded(wish)


class _Capped(OrderRefused):
    """A product has a cap, so the order needs the buyer's lock."""


def _place_at_once(wish: Wish, *, remembered: bool) -> dict[str, Any]:
    """Place an order without cart, promotion or caps by one statement, which needs no BEGIN and COMMIT."""
    lines = price_lines(wish.request["lines"], remembered=remembered)
    if any(line.most_per_customer is not None for line in lines):
        raise _Capped({})
    return store_order(_draft(wish, lines, remembered=remembered))


def _place_guarded(wish: Wish) -> dict[str, Any]:
    """Place an order under its locks, in this order: the cart, the promotion, the buyer's caps."""
    request = wish.request
    seen: dict[str, int] = {}
    wanted = request.get("lines", [])
    if "cart" in request:
        taken = take_cart(request["cart"], wish.customer_id)
        wanted = [{"sku": line.sku, "quantity": line.quantity} for line in taken]
        seen = {line.sku: line.unit_price for line in taken}
    lines = price_lines(wanted)
    code = clean_code(request.get("promotion_code", ""))
    discount = redeem(code, sum(line.line_total for line in lines)) if code else 0
    draft = _draft(wish, lines, discount, seen)
    check_caps(wish.buyer, lines)
    answer = store_order(draft)
    record_capped(UUID(answer["id"]), wish.buyer[0], lines)
    if code:
        Redemption.objects.create(order_id=answer["id"], promotion_id=code, amount=discount)
    return answer


def _draft(
    wish: Wish, lines: list[Line], discount: int = 0, seen: Mapping[str, int] | None = None, *, remembered: bool = False
) -> Draft:
    subtotal = sum(line.line_total for line in lines)
    amounts = add_up(subtotal, wish.request["shipping_address"]["country"], discount)
    check_expectation(amounts, lines, wish.request.get("expected_total"), seen or {})
    return Draft(wish, lines, amounts, remembered)
