"""Events of visits and orders for benchmarks, from a fixed seed: 14 events for each visit that ends in an order."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID


def make_events(count: int, begin: datetime, seconds: float = 3600, seed: int = 4) -> list[Any]:
    """Return about `count` events within `seconds` after `begin`, in an order that keeps the keys in order."""
    dice = Random(seed)
    streams = [list(make_visit(dice, begin, seconds)) for _ in range(max(1, count // 14))]
    turns = [number for number, stream in enumerate(streams) for _ in stream]
    dice.shuffle(turns)
    for stream in streams:
        stream.reverse()
    return [streams[number].pop() for number in turns]


def make_visit(dice: Random, begin: datetime, seconds: float) -> Iterator[Any]:
    """Yield the events of a visit with four views, two cart changes, and an order that is confirmed and captured."""
    from shop import events

    visitor, order_id, contact = (UUID(int=dice.getrandbits(128), version=4) for _ in range(3))
    at = begin + timedelta(seconds=dice.uniform(0, seconds))
    skus = [f"SKU-{dice.randrange(100)}" for _ in range(4)]
    for sku in skus:
        yield events.ProductViewed(occurred_at=at, visitor=visitor, sku=sku)
    for sku in skus[:2]:
        yield events.CartChanged(occurred_at=at, visitor=visitor, sku=sku, quantity=1)
    yield events.CheckoutStarted(occurred_at=at, visitor=visitor, units=2, total=5000, currency="EUR")
    order: dict[str, Any] = {"occurred_at": at, "order_id": order_id}
    named = {**order, "number": "ABCD-1234", "contact_id": contact}
    lines = [events.OrderedLine(sku=sku, quantity=1, unit_price=2500) for sku in dict.fromkeys(skus[:2])]
    yield events.OrderPlaced(
        **named,
        currency="EUR",
        discount=0,
        shipping=0,
        tax=796,
        total=5000,
        lines=lines,
        payment_reference="01976f2e-0000-7000-8000-000000000004",
        channel="web",
        nth_order=1,
        first_order_month="2026-05",
        first_this_month=True,
    )
    yield events.CheckoutCompleted(occurred_at=at, visitor=visitor, order_id=order_id)
    yield events.StockReserved(**order)
    money: dict[str, Any] = {**order, "amount": 5000, "currency": "EUR"}
    yield events.PaymentAuthorized(**money)
    yield events.OrderConfirmed(**named, currency="EUR", total=5000, units=2)
    yield events.PaymentCaptured(**money)
    yield events.OrderShipped(**named)
