"""Races on real PostgreSQL: two changes of an order at the same moment, many times, then all remaining work."""

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
    """Make all due calls to the gateway, like a worker. Return their number."""
    calls = claim_calls(1000)
    record_calls([make_call(call, math.inf) for call in calls])
    return len(calls)


def hear(consumer: Consumer, topic: str, order_id: UUID) -> None:
    """Deliver all events of an order to the consumer. It drops those that it has already applied."""
    rows = Outbox.objects.filter(topic=topic, key=str(order_id)).order_by("sequence")
    consumer.process([make_delivery(row) for row in rows])


def race(count: int, seed: int, *sides: tuple[Callable[[int], None], float]) -> None:
    """Run the functions of `sides` at the same time, `count` times, each in its own thread.

    The number of each side is the largest random delay in milliseconds before its function starts.
    """
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
    """Deliver events and make calls until nothing is left to do."""
    for _ in range(10):
        Payment.objects.exclude(wanted="nothing").update(due_at=Now() - LATER, claimed_until=None)
        if not deliver(*SHOP) + work():
            return
    raise AssertionError("after 10 rounds there is still work to do")


def count_ends() -> Counter[tuple[str, str, tuple[str, ...]]]:
    """Count orders by status, payment and the operations in the gateway's ledger."""
    booked: dict[str, list[str]] = {}
    for key, (operation, _) in Books.entries.items():
        booked.setdefault(key.partition(":")[0], []).append(operation)
    orders = {payment.order_id: str(payment.pk) for payment in Payment.objects.all()}
    return Counter(
        (order.status, order.payment, tuple(booked.get(orders[order.pk], []))) for order in Order.objects.all()
    )


def find_wrong() -> list[str]:
    """Return a sentence for each difference that verification finds."""
    finders = (find_wrong_orders, find_unpaid_orders, find_misplaced_stock, find_stock_differences)
    return [sentence for find in finders for sentence in find()]


def race_cancel_against_capture(count: int, seed: int) -> None:
    """Cancel confirmed orders by their customers while a worker captures the payments."""
    orders = place_orders(count)
    deliver(*SHOP)
    work()
    deliver(*SHOP)  # payments reads OrderConfirmed: the captures are due now
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
    """Let the deadlines of orders pass while their last answers arrive."""
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
    """Hold stock of two products in sixteen threads. Half of the orders list the products in the opposite order."""
    crossed = [LINES, LINES[::-1]] * 8
    events = [[make_placed(uuid4(), lines) for _ in range(count)] for lines in crossed]

    def hold(number: int) -> Callable[[int], None]:
        def hold_turn(turn: int) -> None:
            with transaction.atomic():
                move_stock([events[number][turn]])

        return hold_turn

    race(count, seed, *[(hold(number), 2) for number in range(16)])
