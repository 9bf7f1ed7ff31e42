"""Backorders: placed orders that wait for pieces which undecided orders hold.

An order that is not paid yet holds its pieces for a moment only. If its payment is declined, the pieces come back. An
order that finds too few pieces therefore waits while the pieces exist, and is served in the sequence of arrival as soon
as they come back. It is rejected when the missing pieces are sold, or after PATIENCE_SECONDS.

A backorder changes only in a transaction that has locked the stock rows of all its SKUs. `Stock.waiting` counts the
backorders of a SKU, so that batches without backorders need no further query.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from inventory.levels import Change, find_news
from inventory.reservations import Hold, Level, hold_stock, lock_stock
from relay import publish_many
from relay.arrays import to_array
from shop.events import Shortage, StockRejected, StockReserved

#: Longest wait of an order, in seconds. The customer's money may be authorized during the wait.
PATIENCE_SECONDS = 30
#: Largest number of backorders of a SKU. During a flash sale further orders are rejected at once.
MOST_WAITING = 500
#: Largest number of backorders that tend_some() settles in one transaction.
TOGETHER = 200

Answer = StockReserved | StockRejected

_ADD = """
with added as (
    insert into inventory_backorder (order_id, event_id, sku, quantity, due_at)
    select order_id, event_id, sku, quantity, statement_timestamp() + make_interval(secs => %s)
    from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[]) with ordinality
        as wanted (order_id, event_id, sku, quantity, number)
    order by number
    returning sku
)
update inventory_stock as stock set waiting = stock.waiting + total.count
from (select sku, count(*) from added group by sku) as total where stock.sku = total.sku
"""
_REMOVE = """
with removed as (delete from inventory_backorder where order_id = any(%s::uuid[]) returning sku)
update inventory_stock as stock set waiting = stock.waiting - total.count
from (select sku, count(*) from removed group by sku) as total where stock.sku = total.sku
"""
_READ = """
select order_id, event_id, array_agg(sku), array_agg(quantity), bool_or(due_at <= statement_timestamp())
from inventory_backorder where order_id in ({orders})
group by order_id, event_id order by min(id)
"""
_OF_ORDERS = "select unnest(%s::uuid[])"
_OF_SKUS = "select order_id from inventory_backorder where sku = any(%s::text[])"
# Orders that can be answered now: their time is over, all their pieces are available, or some pieces are sold.
_FIND_ANSWERABLE = """
select order_id from inventory_backorder join inventory_stock using (sku) group by order_id
having bool_or(due_at <= statement_timestamp()) or bool_and(on_hand - reserved >= quantity)
    or bool_or(on_hand < quantity)
order by min(inventory_backorder.id) limit %s
"""


@dataclass(frozen=True, slots=True)
class Backorder:
    """A waiting order. `event_id` is the id of its OrderPlaced; `overdue` is true after PATIENCE_SECONDS."""

    order_id: UUID
    event_id: UUID
    wanted: Mapping[str, int]
    overdue: bool


def may_wait(wanted: Mapping[str, int], levels: Mapping[str, Level]) -> bool:
    """Return whether the `wanted` pieces exist, although other orders hold some, and no SKU has too many backorders."""
    found = [(levels.get(sku), quantity) for sku, quantity in wanted.items()]
    return all(level and level.on_hand >= quantity and level.waiting < MOST_WAITING for level, quantity in found)


def add_backorders(holds: Sequence[Hold]) -> None:
    """Let the orders of `holds` wait. The caller has locked their stock."""
    lines = [(hold.order_id, hold.event_id, sku, quantity) for hold in holds for sku, quantity in hold.wanted.items()]
    if lines:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [PATIENCE_SECONDS, *(to_array(column) for column in zip(*lines, strict=True))])


def withdraw_backorders(orders: Collection[UUID], levels: Mapping[str, Level]) -> list[StockRejected]:
    """Remove the backorders of cancelled `orders`, whose stock is locked, and return their answers."""
    withdrawn = read_backorders(_OF_ORDERS, orders)
    remove_backorders(withdrawn)
    return [reject(backorder, levels) for backorder in withdrawn]


def serve_backorders(levels: Mapping[str, Level]) -> tuple[list[Answer], list[Change]]:
    """Settle the backorders of the locked SKUs in `levels`. Return the answers and the changes of stock.

    Skip a backorder with a SKU that is not locked: it arrived after lock_stock() began. tend_backorders() finds it.
    """
    waiting = [sku for sku, level in levels.items() if level.waiting]
    found = read_backorders(_OF_SKUS, waiting) if waiting else []
    return settle_backorders([backorder for backorder in found if backorder.wanted.keys() <= levels.keys()], levels)


def settle_backorders(
    backorders: Sequence[Backorder], levels: Mapping[str, Level], *, late: bool = False
) -> tuple[list[Answer], list[Change]]:
    """Reserve for the `backorders` that fit, in their sequence, and reject those whose pieces are sold.

    With `late`, reject the overdue backorders too. Return the answers and the changes of stock. Subtract reserved
    pieces from `levels`.
    """
    answers, holds, settled = list[Answer](), list[Hold](), list[Backorder]()
    for backorder in backorders:
        if not find_shortages(backorder.wanted, levels):
            take(backorder.wanted, levels)
            holds.append(Hold(backorder.order_id, backorder.event_id, backorder.wanted))
            answers.append(StockReserved(order_id=backorder.order_id))
        elif (late and backorder.overdue) or any(levels[sku].on_hand < n for sku, n in backorder.wanted.items()):
            answers.append(reject(backorder, levels))
        else:
            continue
        settled.append(backorder)
    remove_backorders(settled)
    return answers, hold_stock(holds)


def tend_backorders() -> None:
    """Settle the backorders that can be answered now, and reject the overdue ones."""
    while tend_some():
        pass


@transaction.atomic
def tend_some() -> bool:
    """Settle up to TOGETHER backorders. Return whether more may be answerable."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND_ANSWERABLE, [TOGETHER])
        orders = [order_id for (order_id,) in cursor.fetchall()]
    if not orders:
        return False
    levels = lock_stock((), orders)
    answers, changes = settle_backorders(read_backorders(_OF_ORDERS, orders), levels, late=True)
    publish_many([*answers, *find_news(changes)])
    return len(orders) == TOGETHER and bool(answers)


def read_backorders(orders: str, values: Collection[object]) -> list[Backorder]:
    """Return the backorders of the query `orders` with the array `values`, in the sequence of their arrival."""
    with connection.cursor() as cursor:
        cursor.execute(_READ.format(orders=orders), [to_array(values)])
        return [
            Backorder(order_id, event_id, dict(zip(skus, quantities, strict=True)), overdue)
            for order_id, event_id, skus, quantities, overdue in cursor.fetchall()
        ]


def remove_backorders(backorders: Sequence[Backorder]) -> None:
    """Delete the rows of `backorders`. The caller has locked their stock."""
    if backorders:
        with connection.cursor() as cursor:
            cursor.execute(_REMOVE, [to_array(backorder.order_id for backorder in backorders)])


def reject(backorder: Backorder, levels: Mapping[str, Level]) -> StockRejected:
    """Return the negative answer. If nothing is short, because the order was cancelled, name all lines."""
    shortages = find_shortages(backorder.wanted, levels)
    shortages = shortages or describe_shortages([*backorder.wanted], backorder.wanted, levels)
    return StockRejected(order_id=backorder.order_id, shortages=shortages)


def take(wanted: Mapping[str, int], levels: Mapping[str, Level]) -> None:
    """Subtract the `wanted` pieces from the available pieces in `levels`."""
    for sku, quantity in wanted.items():
        levels[sku].available -= quantity


def find_shortages(wanted: Mapping[str, int], levels: Mapping[str, Level]) -> list[Shortage]:
    """Return a shortage for each SKU with less available than wanted, in SKU order."""
    return describe_shortages([sku for sku in wanted if read_available(sku, levels) < wanted[sku]], wanted, levels)


def describe_shortages(skus: Sequence[str], wanted: Mapping[str, int], levels: Mapping[str, Level]) -> list[Shortage]:
    """Return a shortage for each of `skus`, in SKU order."""
    return [Shortage(sku=sku, requested=wanted[sku], available=read_available(sku, levels)) for sku in sorted(skus)]


def read_available(sku: str, levels: Mapping[str, Level]) -> int:
    """Return the available pieces of `sku`: 0 if the SKU has no stock row."""
    return levels[sku].available if sku in levels else 0
