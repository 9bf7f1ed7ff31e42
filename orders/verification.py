"""Check promotions: the counted uses, the uses that orders hold, and the discounts of orders."""

from collections.abc import Iterator

from django.db import connection


def find_promotion_differences() -> Iterator[str]:
    """Yield a sentence for each promotion with a wrong count, and for each order that contradicts its redemption."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select p.code, p.used, p.uses, count(r.order_id) filter (where r.given_back_at is null)
            from orders_promotion p left join orders_redemption r on r.promotion_id = p.code
            group by p.code order by p.code
            """
        )
        for code, used, uses, held in cursor.fetchall():
            if used != held:
                yield f"promotion {code} counts {used} uses, but its orders hold {held}"
            if used > uses:
                yield f"promotion {code} was used {used} times, but allows {uses} uses"
        cursor.execute(
            """
            select o.number, o.status, o.discount, coalesce(r.amount, 0), r.given_back_at
            from orders_order o left join orders_redemption r on r.order_id = o.id
            where o.discount <> coalesce(r.amount, 0)
               or (r.order_id is not null and (o.status = 'cancelled') <> (r.given_back_at is not null))
            """
        )
        for number, status, discount, amount, given_back_at in cursor.fetchall():
            if discount != amount:
                yield f"order {number} has a discount of {discount}, but its redemption has {amount}"
            else:
                given = "was returned" if given_back_at else "is still held"
                yield f"order {number} is {status}, but the use of its promotion {given}"
