"""Promotion codes. An order counts its use by one conditional UPDATE, so that `used` never exceeds `uses`."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from orders.models import Promotion
from orders.prices.amounts import OrderRefused


class UnusableCode(OrderRefused):
    """The code is unknown, not valid now, or used up. `message` is the text for the customer."""

    def __init__(self, message: str) -> None:
        super().__init__({"promotion_code": [message]})
        self.message = message


def find_discount(code: str, subtotal: int) -> int:
    """Return the discount of `code` on goods for `subtotal`, both in minor units, without using the code.

    :raises UnusableCode: the code is unknown, not valid now, or used up.
    """
    return compute_discount(_find_usable(code), subtotal)


def redeem(code: str, subtotal: int) -> int:
    """Use `code` once and return its discount. Needs an open transaction: until its end other uses of the code wait.

    :raises UnusableCode: the code is unknown, not valid now, or used up.
    """
    usable = Promotion.objects.filter(pk=clean_code(code), begins_at__lte=Now(), ends_at__gt=Now(), used__lt=F("uses"))
    if not usable.update(used=F("used") + 1):
        _find_usable(code)  # raises the exact reason
        raise UnusableCode(f"The code {code} has been used up.")
    return compute_discount(Promotion.objects.get(pk=clean_code(code)), subtotal)


def clean_code(code: str) -> str:
    """Return the code as it is stored."""
    return code.strip().upper()


def compute_discount(promotion: Promotion, subtotal: int) -> int:
    """Return the discount on goods for `subtotal` minor units. It is never more than `subtotal`."""
    if promotion.kind == Promotion.Kind.PERCENT:
        return subtotal * promotion.value // 100
    return min(promotion.value, subtotal)


def _find_usable(code: str) -> Promotion:
    known = Promotion.objects.filter(pk=clean_code(code)).annotate(now=Now()).first()
    if known is None:
        raise UnusableCode(f"There is no code {code}.")
    if known.now < known.begins_at:
        raise UnusableCode(f"The code {code} is not valid yet.")
    if known.now >= known.ends_at:
        raise UnusableCode(f"The code {code} is not valid any more.")
    if known.used >= known.uses:
        raise UnusableCode(f"The code {code} has been used up.")
    return known


def give_back(order_ids: Sequence[UUID]) -> None:
    """Free the promotion uses of cancelled orders, each once. Needs an open transaction that has locked the orders."""
    if not order_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with held as materialized (
                select p.code from orders_promotion p
                where p.code in (select promotion_id from orders_redemption where order_id = any(%(orders)s))
                order by p.code for update),
            freed as (
                update orders_redemption r set given_back_at = now() from held
                where r.promotion_id = held.code and r.order_id = any(%(orders)s) and r.given_back_at is null
                returning promotion_id)
            update orders_promotion p set used = p.used - freed.uses
            from (select promotion_id, count(*) as uses from freed group by promotion_id) as freed
            where p.code = freed.promotion_id
            """,
            {"orders": list(order_ids)},
        )
