"""How inventory reacts to orders: hold all lines or none, sell what was confirmed, give back what was cancelled.

Each handler takes many events at once: it locks the stock of all of them in SKU order, and moves it in one statement.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from inventory.levels import find_news
from inventory.reserving import GIVING_BACK, SALE, Hold, hold_stock, lock_stock, settle_reservations
from relay.consumer import Consumer
from relay.outbox import encode_many, publish_encoded, publish_many
from shop.events import OrderCancelled, OrderConfirmed, OrderEvent, OrderPlaced, Shortage, StockRejected, StockReserved

consumer = Consumer("inventory")
#: Encodes the answers while this thread waits for PostgreSQL, which holds the stock meanwhile.
encoder = ThreadPoolExecutor(1, thread_name_prefix="encode")


class NothingHeldForOrder(Exception):
    """An order was confirmed for which no stock is held. Orders confirms only what inventory reserved."""


@consumer.on(OrderPlaced, many=True)
def reserve_stock(events: Sequence[OrderPlaced]) -> None:
    """Hold every line of an order, or none; the orders are served in the order of the list.

    A SKU that inventory does not know is a shortage with nothing available. Lines of one SKU count together.
    """
    holds = [Hold(event.order_id, event.event_id, add_up_lines(event)) for event in events]
    available = lock_stock({sku for hold in holds for sku in hold.wanted})
    held: list[Hold] = []
    short: dict[UUID, list[Shortage]] = {}
    for hold in holds:
        if shortages := find_shortages(hold.wanted, available):
            short[hold.order_id] = shortages
            continue
        for sku, quantity in hold.wanted.items():
            available[sku] -= quantity
        held.append(hold)
    answers = (answer(hold.order_id, short.get(hold.order_id)) for hold in holds)
    encoding = encoder.submit(encode_many, answers)
    news = find_news(hold_stock(held))
    publish_encoded(encoding.result(), new_keys=True)
    publish_many(news)


def answer(order_id: UUID, shortages: list[Shortage] | None) -> StockReserved | StockRejected:
    """Return what orders is told."""
    if shortages:
        return StockRejected(order_id=order_id, shortages=shortages)
    return StockReserved(order_id=order_id)


@consumer.on(OrderConfirmed, many=True)
def sell_stock(events: Sequence[OrderConfirmed]) -> None:
    """Let what is held leave the books.

    :raises NothingHeldForOrder: nothing is held for one of them; the consumer finds it and parks the order's key.
    """
    causes = find_causes(events)
    for order_id in causes.keys() - settle_reservations(causes, SALE).orders:
        raise NothingHeldForOrder(f"order {order_id} was confirmed, but no stock is held for it")


@consumer.on(OrderCancelled, many=True)
def give_back_stock(events: Sequence[OrderCancelled]) -> None:
    """Give back what the orders hold, or had sold to them. One that was rejected for want of stock has nothing."""
    publish_many(find_news(settle_reservations(find_causes(events), GIVING_BACK).changes))


def add_up_lines(event: OrderPlaced) -> Mapping[str, int]:
    """Return the quantity that the order wants of each SKU."""
    wanted: dict[str, int] = {}
    for line in event.lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def find_shortages(wanted: Mapping[str, int], available: Mapping[str, int]) -> list[Shortage]:
    """Return what can't be had, in SKU order."""
    short = [sku for sku, quantity in wanted.items() if available.get(sku, 0) < quantity]
    return [Shortage(sku=sku, requested=wanted[sku], available=available.get(sku, 0)) for sku in sorted(short)]


def find_causes(events: Sequence[OrderEvent]) -> dict[UUID, UUID]:
    """Return each order's event id."""
    return {event.order_id: event.event_id for event in events}
