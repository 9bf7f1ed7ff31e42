"""How inventory reacts to orders: hold all lines or none, sell what was confirmed, give back what was cancelled."""

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from inventory.levels import Change, find_news
from inventory.reservations import GIVING_BACK, SALE, Hold, close_reservations, hold_stock, lock_stock
from relay import Consumer, publish_many
from shop.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, Shortage, StockRejected, StockReserved

consumer = Consumer("inventory")


class NothingHeldForOrder(Exception):
    """An order was confirmed for which no stock is held. Orders confirms only what inventory reserved."""


@consumer.on(OrderPlaced, OrderConfirmed, OrderCancelled, many=True)
def move_stock(events: Sequence[OrderPlaced | OrderConfirmed | OrderCancelled]) -> None:
    """Give back the stock of cancelled orders, sell that of confirmed ones, then reserve for those that were placed.

    The stock rows of all of them are locked first, in the order of their SKUs. Each kind is moved by one statement.

    :raises NothingHeldForOrder: nothing is held for a confirmed one; the consumer finds it and parks the order's key.
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
    """Answer each order: every line or none. Those that come first are served first, and leave less `available`.

    A SKU that inventory does not know is a shortage with nothing available.
    """
    for hold in holds:
        if shortages := find_shortages(hold.wanted, available):
            yield StockRejected(order_id=hold.order_id, shortages=shortages)
            continue
        for sku, quantity in hold.wanted.items():
            available[sku] -= quantity
        yield StockReserved(order_id=hold.order_id)


def add_up_lines(event: OrderPlaced) -> Mapping[str, int]:
    """Return the quantity that the order wants of each SKU. Lines of one SKU count together."""
    wanted: dict[str, int] = {}
    for line in event.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def find_shortages(wanted: Mapping[str, int], available: Mapping[str, int]) -> list[Shortage]:
    """Return what can't be had, in SKU order."""
    short = [sku for sku, quantity in wanted.items() if available.get(sku, 0) < quantity]
    return [Shortage(sku=sku, requested=wanted[sku], available=available.get(sku, 0)) for sku in sorted(short)]


def find_causes(events: Sequence[OrderEvent], kind: type[OrderEvent]) -> dict[UUID, UUID]:
    """Return the event id of each order with an event of this class."""
    return {event.order_id: event.event_id for event in events if isinstance(event, kind)}
