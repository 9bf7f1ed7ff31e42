"""Two things happen to an order at the same moment, again and again, on real PostgreSQL; then everything ends."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from inventory.handlers import move_stock
from inventory.verification import find_stock_differences
from orders.api.serializers import OrderRequest
from orders.checkout.placement import place_order
from orders.lifecycle.cancellation import cancel_order
from orders.models import Order
from orders.tasks import cancel_overdue_orders
from payments.models import Payment
from payments.settlement.calls import make_call
from payments.settlement.claims import claim_calls
from payments.settlement.results import record_calls
from relay import Consumer
from relay.consumer.registry import all_consumers
from relay.models import Outbox
from relay.testing import deliver
from relay.testing.delivery import make_delivery
from shop.management.verification.agreement import find_misplaced_stock, find_unpaid_orders, find_wrong_orders
from tests.client import make_order
from tests.inventory.conftest import make_placed
from tests.simulation.gateway import Books
from tests.simulation.model import SKUS

CONSUMERS = {consumer.name: consumer for consumer in all_consumers()}
SHOP = [CONSUMERS[name] for name in ("orders", "inventory", "payments")]
LATER = timedelta(days=1)
LINES = [(sku, 1) for sku in SKUS]


def place_orders(count: int) -> list[UUID]:
    """Place orders for one cup each."""
    request = OrderRequest(data=make_order(("CUP", 1)))
    request.is_valid(raise_exception=True)
    placed = [place_order(idempotency_key=str(uuid4()), request=request.validated_data) for _ in range(count)]
    return [UUID(placement.answer["id"]) for placement in placed]


def work() -> int:
    """Let a worker do all that payments want and that is due; return how much it was."""
    calls = claim_calls(1000)
    record_calls([make_call(call, math.inf) for call in calls])
    return len(calls)


def hear(consumer: Consumer, topic: str, order_id: UUID) -> None:
    """Give the consumer what the outbox holds of a key, as often as that was given before: duplicates are known."""
    rows = Outbox.objects.filter(topic=topic, key=str(order_id)).order_by("sequence")
    consumer.process([make_delivery(row) for row in rows])


def race(count: int, seed: int, *sides: tuple[Callable[[int], None], float]) -> None:
    """Run each side in a thread of its own, `count` times, each time all at once but for up to so many milliseconds."""
    barrier = threading.Barrier(len(sides))

    def run(side: Callable[[int], None], late: float, dice: random.Random) -> None:
        try:
            for turn in range(count):
                barrier.wait(60)
                time.sleep(dice.random() * late / 1000)
                side(turn)
        except BaseException:
            barrier.abort()
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(len(sides)) as pool:
        runs = [pool.submit(run, side, late, random.Random(seed + n)) for n, (side, late) in enumerate(sides)]
    for finished in sorted(runs, key=lambda run: isinstance(run.exception(), threading.BrokenBarrierError)):
        finished.result()


def finish() -> None:
    """Let everything come to its end."""
    for _ in range(10):
        Payment.objects.exclude(wanted="nothing").update(due_at=Now() - LATER, claimed_until=None)
        if not deliver(*SHOP) + work():
            return
    raise AssertionError("it never ends")


def count_ends() -> Counter[tuple[str, str, tuple[str, ...]]]:
    """Count how orders ended: status, payment, and what the gateway has booked for them."""
    booked: dict[str, list[str]] = {}
    for key, (operation, _) in Books.entries.items():
        booked.setdefault(key.partition(":")[0], []).append(operation)
    orders = {payment.order_id: str(payment.pk) for payment in Payment.objects.all()}
    return Counter(
        (order.status, order.payment, tuple(booked.get(orders[order.pk], []))) for order in Order.objects.all()
    )


def find_wrong() -> list[str]:
    """List what does not add up."""
    finders = (find_wrong_orders, find_unpaid_orders, find_misplaced_stock, find_stock_differences)
    return [sentence for find in finders for sentence in find()]


def race_cancel_against_capture(count: int, seed: int) -> None:
    """The customer cancels a confirmed order while its money is being captured."""
    orders = place_orders(count)
    deliver(*SHOP)
    work()
    deliver(*SHOP)  # payments has heard that they are confirmed: the captures are wanted now
    Payment.objects.update(due_at=Now() + LATER)

    def capture(turn: int) -> None:
        Payment.objects.filter(order_id=orders[turn]).update(due_at=Now() - LATER)
        work()
        hear(CONSUMERS["orders"], "shop.payments", orders[turn])

    def cancel(turn: int) -> None:
        cancel_order(orders[turn])
        hear(CONSUMERS["payments"], "shop.orders", orders[turn])
        hear(CONSUMERS["inventory"], "shop.orders", orders[turn])

    race(count, seed, (capture, 25), (cancel, 4))
    finish()


def race_deadline_against_confirm(count: int, seed: int) -> None:
    """An order's deadline passes while its last answer arrives."""
    orders = place_orders(count)
    deliver(*SHOP)
    work()

    def confirm(turn: int) -> None:
        hear(CONSUMERS["orders"], "shop.payments", orders[turn])

    def pass_deadline(turn: int) -> None:
        Order.objects.filter(pk=orders[turn]).update(deadline_at=F("placed_at"))
        cancel_overdue_orders()

    race(count, seed, (confirm, 2), (pass_deadline, 10))
    finish()


def race_for_stock(count: int, seed: int) -> None:
    """Sixteen consumers hold stock of the same two products for orders of both, in crossed orders."""
    crossed = [LINES, LINES[::-1]] * 8
    events = [[make_placed(uuid4(), lines) for _ in range(count)] for lines in crossed]

    def hold(number: int) -> Callable[[int], None]:
        def hold_turn(turn: int) -> None:
            with transaction.atomic():
                move_stock([events[number][turn]])

        return hold_turn

    race(count, seed, *[(hold(number), 2) for number in range(16)])
