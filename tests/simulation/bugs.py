"""Known bugs of shops, as patches of the product's code. The tests check that the simulation finds each of them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from inventory import handlers as inventory_handlers
from inventory import reservations
from inventory.levels import Change
from inventory.models import Movement, Reservation, Stock
from inventory.reservations import GIVING_BACK, ClosedReservations, Hold, Level, Transition
from orders.checkout import placement
from orders.checkout.placement import Placement
from payments import handlers
from payments.models import Payment
from payments.settlement import claims, results


def replace(text: str, old: str, new: str) -> str:
    """Return `text` with `old` replaced by `new`. Fail if `text` does not contain `old`."""
    assert old in text, f"the product no longer contains {old!r}: adapt this bug to the new code"
    return text.replace(old, new)


def take_random_gateway_key(patch: pytest.MonkeyPatch) -> None:
    """Send a new idempotency key with every call to the gateway."""
    name = "claimed.id || ':' || operation || coalesce(':' || refund.number, '') as name"
    patch.setattr(claims, "_CLAIM", replace(claims._CLAIM, name, "gen_random_uuid()::text as name"))


def store_key_before_the_work(patch: pytest.MonkeyPatch) -> None:
    """Store the answer of an idempotency key before the order's transaction, not in it."""
    answers: dict[str, Placement] = {}
    place_order = placement.place_order

    def place_order_once(*, idempotency_key: str, **order: Any) -> Placement:
        if idempotency_key not in answers:
            answers[idempotency_key] = Placement({"id": str(uuid4())}, replayed=True)
            answers[idempotency_key] = place_order(idempotency_key=idempotency_key, **order)
        return answers[idempotency_key]

    patch.setattr(placement, "place_order", place_order_once)


def release_twice(patch: pytest.MonkeyPatch) -> None:
    """Release the stock of a cancelled order a second time."""
    again = [Transition(Reservation.State.RELEASED, Reservation.State.RELEASED, Movement.Kind.RELEASED, 0, -1)]

    def close_twice(causes: Mapping[UUID, UUID], transitions: list[Transition]) -> ClosedReservations:
        done = reservations.close_reservations(causes, transitions)
        if transitions is GIVING_BACK:
            reservations.close_reservations({order_id: uuid4() for order_id in causes}, again)
        return done

    patch.setattr(inventory_handlers, "close_reservations", close_twice)


def read_then_write_stock(patch: pytest.MonkeyPatch) -> None:
    """Read the stock without a lock, and write the new value back later."""

    def read_stock(skus: Sequence[str], orders: Sequence[UUID] = ()) -> dict[str, Level]:
        found = Stock.objects.filter(sku__in=skus)
        return {stock.sku: Level(stock.available, stock.on_hand, stock.waiting) for stock in found}

    def write_stock(holds: Sequence[Hold]) -> list[Change]:
        for hold in holds:
            for sku, quantity in sorted(hold.wanted.items()):
                stock = Stock.objects.get(sku=sku)
                time.sleep(0.001)
                Stock.objects.filter(sku=sku).update(reserved=stock.reserved + quantity)
        return []

    patch.setattr(inventory_handlers, "lock_stock", read_stock)
    patch.setattr(inventory_handlers, "hold_stock", write_stock)


def capture_without_lock(patch: pytest.MonkeyPatch) -> None:
    """Read payments without a lock for captures and refunds, and write them later."""

    def read_payments(events: Sequence[Any]) -> list[Payment]:
        payments = list(Payment.objects.filter(order_id__in=[event.order_id for event in events]).order_by("order_id"))
        time.sleep(0.002)
        return payments

    def read_claimed(calls: Sequence[claims.Call]) -> dict[UUID, Payment]:
        payments = Payment.objects.in_bulk([call.payment_id for call in calls])
        time.sleep(0.002)
        return payments

    patch.setattr(handlers, "lock_orders", read_payments)
    patch.setattr(results, "lock_claimed", read_claimed)
