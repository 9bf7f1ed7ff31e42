"""Buyers: who places an order, as a key that is no e-mail address, and how many orders the buyer has placed.

The key never leaves this table. OrderPlaced contains only what is counted with it.
"""

from collections.abc import Sequence
from typing import Any, LiteralString

from orders.models import Buyer
from shop.keys import hash_value

#: The part of the statement of an order that counts it for its buyer. A buyer's orders wait here for one another.
#: During a rotation of SECRET_KEY the count of a guest may be stored with a former key.
COUNT_ORDER: LiteralString = """
buyer as (
    insert into orders_buyer as b (key, orders, first_month, last_month, month_orders)
    select %(buyer)s, 1 + former.orders, coalesce(former.first_month, %(month)s), %(month)s, 1 + former.month_orders
    from cause cross join (
        select coalesce(sum(orders), 0)::int as orders, min(first_month) as first_month,
               coalesce(sum(month_orders) filter (where last_month >= %(month)s), 0)::int as month_orders
        from orders_buyer where key = any(%(former_keys)s::text[])) former
    on conflict (key) do update set
        orders = b.orders + 1,
        month_orders = case when b.last_month >= excluded.last_month then b.month_orders + 1 else 1 end,
        last_month = greatest(b.last_month, excluded.last_month)
    returning orders, first_month, month_orders)"""
#: The end of the JSON of OrderPlaced before its buyer is counted, and the expression that counts it. No value of an
#: event contains this text, because JSON escapes the quotes of a value.
UNCOUNTED = '"nth_order":null,"first_order_month":null,"first_this_month":null'
COUNTED_BODY: LiteralString = """(
    select replace(%(body)s, %(uncounted)s, format(
        '"nth_order":%s,"first_order_month":"%s","first_this_month":%s', orders, first_month,
        (month_orders = 1)::text))
    from buyer)"""


def identify_buyer(customer_id: int | None, email: str) -> list[str]:
    """Return a buyer's keys: the customer's id, or for a guest the keyed hashes of the e-mail address.

    New purchases are stored with the first key. During a rotation of SECRET_KEY, older purchases have another one.
    """
    if customer_id is not None:
        return [str(customer_id)]
    return hash_value("orders.caps", email.strip().lower())


def name_buyer(keys: Sequence[str], month: str) -> dict[str, Any]:
    """Return the parameters of COUNT_ORDER and COUNTED_BODY: `keys` of one buyer, and the `month` of the order."""
    former = "{" + ",".join(keys[1:]) + "}"
    return {"buyer": keys[0], "former_keys": former, "month": month, "uncounted": UNCOUNTED}


def forget_buyer(email: str) -> None:
    """Delete the count of the guest with this e-mail address. The guest's next order is the first one again."""
    Buyer.objects.filter(key__in=identify_buyer(None, email)).delete()
