"""How inventory reacts to orders: hold all lines or none, sell what was confirmed, give back what was cancelled."""

from collections import Counter

from inventory.services import GIVING_BACK, SALE, hold_stock, lock_stock, settle_reservations
from relay.consumer import Consumer
from relay.outbox import publish
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced, Shortage, StockRejected, StockReserved

consumer = Consumer("inventory")


class NothingHeldForOrder(Exception):
    """An order was confirmed for which no stock is held. Orders confirms only what inventory reserved."""


@consumer.on(OrderPlaced)
def reserve_stock(event: OrderPlaced) -> None:
    """Hold every line of the order, or none. A SKU that inventory does not know is a shortage with nothing available.

    Lines of one SKU count together.
    """
    wanted: Counter[str] = Counter()
    for line in event.lines:
        wanted[line.sku] += line.quantity
    available = lock_stock(wanted)
    shortages = [
        Shortage(sku=sku, requested=quantity, available=available.get(sku, 0))
        for sku, quantity in sorted(wanted.items())
        if available.get(sku, 0) < quantity
    ]
    if shortages:
        publish(StockRejected(order_id=event.order_id, shortages=shortages))
        return
    hold_stock(event.order_id, wanted, event.event_id)
    publish(StockReserved(order_id=event.order_id))


@consumer.on(OrderConfirmed)
def sell_stock(event: OrderConfirmed) -> None:
    """Let what is held leave the books.

    :raises NothingHeldForOrder: nothing is held; the consumer parks the order's key.
    """
    if not settle_reservations(event.order_id, SALE, event.event_id):
        raise NothingHeldForOrder(f"order {event.order_id} was confirmed, but no stock is held for it")


@consumer.on(OrderCancelled)
def give_back_stock(event: OrderCancelled) -> None:
    """Give back what the order holds. An order that was rejected for want of stock holds nothing."""
    settle_reservations(event.order_id, GIVING_BACK, event.event_id)
