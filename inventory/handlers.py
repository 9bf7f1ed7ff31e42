"""The consumer that holds, sells and releases stock as the events of orders arrive."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from inventory.backorders import (
    add_backorders,
    find_shortages,
    may_wait,
    serve_backorders,
    take,
    withdraw_backorders,
)
from inventory.levels import Change, find_news
from inventory.reservations import GIVING_BACK, SALE, Hold, Level, close_reservations, hold_stock, lock_stock
from relay import Consumer, publish_many
from shop.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, StockRejected, StockReserved

consumer = Consumer("inventory")


class NothingHeldForOrder(Exception):
    """An order without held stock was confirmed. The orders app confirms only orders that inventory reserved."""


@consumer.on(OrderPlaced, OrderConfirmed, OrderCancelled, many=True)
def move_stock(events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled]) -> None:
    """Release the stock of cancelled orders, sell the stock of confirmed orders, then reserve for placed orders.

    Backorders come before placed orders. First lock the stock rows of all `events` in SKU order. Then run one
    statement for each class of event.

    :raises NothingHeldForOrder: a confirmed order holds no stock. The consumer finds its event and parks the key.
    """
    holds = [Hold(e.order_id, e.event_id, add_up_lines(e)) for e in events if isinstance(e, OrderPlaced)]
    cancelled, confirmed = find_causes(events, OrderCancelled), find_causes(events, OrderConfirmed)
    levels = lock_stock({sku for hold in holds for sku in hold.wanted}, [*cancelled, *confirmed])
    answers: list[StockReserved | StockRejected] = []
    changes: list[Change] = []
    if cancelled or confirmed:
        waiting = any(level.waiting for level in levels.values())
        if waiting:
            answers += withdraw_backorders(cancelled, levels)
        changes += end_orders(cancelled, confirmed, levels)
        if waiting:
            served, moved = serve_backorders(levels)
            answers, changes = answers + served, changes + moved
    reserved, backorders, rejected = sort_holds(holds, levels)
    changes += hold_stock(reserved)
    add_backorders(backorders)
    answers += [StockReserved(order_id=hold.order_id) for hold in reserved]
    publish_many([*answers, *rejected, *find_news(changes)])


def end_orders(
    cancelled: Mapping[UUID, UUID], confirmed: Mapping[UUID, UUID], levels: Mapping[str, Level]
) -> list[Change]:
    """Release the stock of `cancelled` orders and sell the stock of `confirmed` orders. Update `levels`.

    :raises NothingHeldForOrder: a confirmed order holds no stock.
    """
    changes: list[Change] = []
    for causes, transitions in ((cancelled, GIVING_BACK), (confirmed, SALE)):
        if causes:
            closed = close_reservations(causes, transitions)
            if transitions is SALE and (missing := causes.keys() - closed.orders):
                raise NothingHeldForOrder(f"order {min(missing)} was confirmed, but no stock is held for it")
            changes += closed.changes
            for change in closed.changes:
                level = levels[change.sku]
                level.available, level.on_hand = change.after, closed.on_hand[change.sku]
    return changes


def sort_holds(
    holds: Sequence[Hold], levels: Mapping[str, Level]
) -> tuple[list[Hold], list[Hold], list[StockRejected]]:
    """Return the holds to reserve, the holds that wait, and the negative answers to the others.

    Serve the holds in their order: subtract reserved pieces from `levels`, and count the backorders of this call. A
    SKU without a stock row is a shortage with 0 available.
    """
    reserved, waiting, rejected = list[Hold](), list[Hold](), list[StockRejected]()
    for hold in holds:
        if not (shortages := find_shortages(hold.wanted, levels)):
            take(hold.wanted, levels)
            reserved.append(hold)
        elif may_wait(hold.wanted, levels):
            for sku in hold.wanted:
                levels[sku].waiting += 1
            waiting.append(hold)
        else:
            rejected.append(StockRejected(order_id=hold.order_id, shortages=shortages))
    return reserved, waiting, rejected


def add_up_lines(event: OrderPlaced) -> Mapping[str, int]:
    """Return the ordered quantity by SKU. Lines with the same SKU are added up."""
    wanted: dict[str, int] = {}
    for line in event.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def find_causes(events: Sequence[OrderEvent], kind: type[OrderEvent]) -> dict[UUID, UUID]:
    """Return the event id by order id, for the events of class `kind`."""
    return {event.order_id: event.event_id for event in events if isinstance(event, kind)}
