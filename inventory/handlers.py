"""The consumer that holds, sells and releases stock as the events of orders arrive."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from inventory.levels import Change, find_news
from inventory.reservations import GIVING_BACK, SALE, Hold, close_reservations, hold_stock, lock_stock
from relay import Consumer, publish_many
from shop.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, Shortage, StockRejected, StockReserved

consumer = Consumer("inventory")


class NothingHeldForOrder(Exception):
    """An order without held stock was confirmed. The orders app confirms only orders that inventory reserved."""


@consumer.on(OrderPlaced, OrderConfirmed, OrderCancelled, many=True)
def move_stock(events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled]) -> None:
    """Release the stock of cancelled orders, sell the stock of confirmed orders, then reserve for placed orders.

    First lock the stock rows of all `events` in SKU order. Then run one statement for each class of event.

    :raises NothingHeldForOrder: a confirmed order holds no stock. The consumer finds its event and parks the key.
    """
    holds = [Hold(e.order_id, e.event_id, add_up_lines(e)) for e in events if isinstance(e, OrderPlaced)]
    cancelled, confirmed = find_causes(events, OrderCancelled), find_causes(events, OrderConfirmed)
    available = lock_stock({sku for hold in holds for sku in hold.wanted}, [*cancelled, *confirmed])
    changes: list[Change] = []
    if cancelled:
        changes += close_reservations(cancelled, GIVING_BACK).changes
        available |= {change.sku: change.after for change in changes}
    if confirmed:
        sold = close_reservations(confirmed, SALE)
        for order_id in confirmed.keys() - sold.orders:
            raise NothingHeldForOrder(f"order {order_id} was confirmed, but no stock is held for it")
        changes += sold.changes
    answers = list(choose(holds, available))
    refused = {answer.order_id for answer in answers if isinstance(answer, StockRejected)}
    changes += hold_stock([hold for hold in holds if hold.order_id not in refused])
    publish_many([*answers, *find_news(changes)])


def choose(holds: Sequence[Hold], available: dict[str, int]) -> Iterator[StockReserved | StockRejected]:
    """Yield the answer to each hold, in their order: StockReserved for all lines, or StockRejected.

    Subtract the reserved quantities from `available`. A SKU without a stock row is a shortage with 0 available.
    """
    for hold in holds:
        if shortages := find_shortages(hold.wanted, available):
            yield StockRejected(order_id=hold.order_id, shortages=shortages)
            continue
        for sku, quantity in hold.wanted.items():
            available[sku] -= quantity
        yield StockReserved(order_id=hold.order_id)


def add_up_lines(event: OrderPlaced) -> Mapping[str, int]:
    """Return the ordered quantity by SKU. Lines with the same SKU are added up."""
    wanted: dict[str, int] = {}
    for line in event.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def find_shortages(wanted: Mapping[str, int], available: Mapping[str, int]) -> list[Shortage]:
    """Return a shortage for each SKU with less available than wanted, in SKU order."""
    short = [sku for sku, quantity in wanted.items() if available.get(sku, 0) < quantity]
    return [Shortage(sku=sku, requested=wanted[sku], available=available.get(sku, 0)) for sku in sorted(short)]


def find_causes(events: Sequence[OrderEvent], kind: type[OrderEvent]) -> dict[UUID, UUID]:
    """Return the event id by order id, for the events of class `kind`."""
    return {event.order_id: event.event_id for event in events if isinstance(event, kind)}
