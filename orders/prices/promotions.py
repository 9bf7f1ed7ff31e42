"""Promotion codes. A use is taken in the order's own transaction by one conditional statement, so none is overdrawn."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from orders.models import Promotion
from orders.prices.amounts import OrderRefused


class UnusableCode(OrderRefused):
    """There is no such code, or it can't be used now; `message` says which to the customer."""

    def __init__(self, message: str) -> None:
        super().__init__({"promotion_code": [message]})
        self.message = message


def find_discount(code: str, subtotal: int) -> int:
    """Return what `code` would take off goods for `subtotal` minor units now, without using it.

    :raises UnusableCode: it can't be used.
    """
    return compute_discount(_find_usable(code), subtotal)


def redeem(code: str, subtotal: int) -> int:
    """Use `code` once and return what it takes off. Needs an open transaction: until its end others wait for the code.

    :raises UnusableCode: it can't be used, or all its uses are taken.
    """
    usable = Promotion.objects.filter(pk=clean_code(code), begins_at__lte=Now(), ends_at__gt=Now(), used__lt=F("uses"))
    if not usable.update(used=F("used") + 1):
        _find_usable(code)  # says why
        raise UnusableCode(f"The code {code} has been used up.")
    return compute_discount(Promotion.objects.get(pk=clean_code(code)), subtotal)


def clean_code(code: str) -> str:
    """Return the code as it is stored."""
    return code.strip().upper()


def compute_discount(promotion: Promotion, subtotal: int) -> int:
    """Return what the promotion takes off: never more than there is."""
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
    """Give the uses of cancelled orders back, each once. Needs an open transaction in which the orders are locked."""
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
