"""The model together with the real shop on PostgreSQL. Both take each step, and their states must be equal."""

import math
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from inventory.backorders import tend_backorders
from inventory.models import Backorder, Reservation, Stock
from inventory.services import UnableToAdjustStock, adjust_stock
from inventory.verification import find_stock_differences
from orders.api.serializers import OrderRequest
from orders.checkout import placement as checkout
from orders.lifecycle.cancellation import TooLateToCancel, cancel_order
from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import advance_order
from orders.models import Order
from orders.tasks import cancel_overdue_orders
from payments.models import Attempt, Payment, Refund
from payments.refunds import NotRefundable, refund_part
from payments.settlement.calls import make_call
from payments.settlement.claims import claim_calls
from payments.settlement.decisions import FinishedCall
from payments.settlement.results import record_calls
from relay.consumer.registry import all_consumers
from relay.models import Outbox
from relay.testing.delivery import make_delivery, surfacing_errors
from tests.client import make_order
from tests.simulation.gateway import Books
from tests.simulation.model import SKUS, Fate, Model

CANCELS = {Happening.CANCEL_REQUESTED: "customer", Happening.CANCELLED_BY_STAFF: "admin:ada"}


class Crashed(Exception):
    """The process died before the commit."""


class Twin(Model):
    """Takes each step in the model and in the shop. The database must have the SKUS with OPENING pieces each."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[UUID] = []
        self.finished: list[list[FinishedCall]] = []
        self.booked_by: list[set[str]] = []  # the keys in the gateway's ledger, by order
        self.consumers = {consumer.name: consumer for consumer in all_consumers()}
        Books.entries, Books.fate = {}, "answered"

    def place(self, lines: dict[str, int], good_card: bool) -> None:
        """Place an order. The first attempt crashes before the commit, and the client repeats it."""
        request = OrderRequest(data=make_order(*lines.items(), token="tok_ok" if good_card else "tok_declined"))
        request.is_valid(raise_exception=True)
        key = str(uuid4())
        try:
            with transaction.atomic():
                checkout.place_order(idempotency_key=key, request=request.validated_data)
                raise Crashed
        except Crashed:
            placement = checkout.place_order(idempotency_key=key, request=request.validated_data)
        self.ids.append(Order.objects.get(pk=placement.answer["id"]).pk)
        self.finished.append([])
        self.booked_by.append(set())
        super().place(lines, good_card)
        self.compare()

    def deliver(self, number: int, route: tuple[str, str]) -> bool:
        """Deliver an event twice. The consumer must drop the duplicate."""
        known = super().deliver(number, route)
        assert known
        consumer, topic = route
        sale = self.sales[number]
        row = Outbox.objects.get(topic=f"shop.{topic}", key=str(self.ids[number]), sequence=sale.read[route])
        assert row.type.partition(".")[0] == sale.topics[topic][sale.read[route] - 1].replace("Partly", "")
        with surfacing_errors(self.consumers[consumer], "raise"):
            self.consumers[consumer].process([make_delivery(row), make_delivery(row)])
        self.compare()
        return True

    def ask(self, number: int, happening: Happening) -> bool:
        """Apply an action of a person or the clock."""
        possible = super().ask(number, happening)
        order_id = self.ids[number]
        try:
            with transaction.atomic():
                if happening in CANCELS:
                    cancel_order(order_id, by=CANCELS[happening])
                elif happening == Happening.DEADLINE_PASSED:
                    pass_deadline(order_id)
                else:
                    advance_order(order_id, happening)
            done = True
        except (ImpossibleTransition, TooLateToCancel):
            done = False
        assert done == possible
        self.compare()
        return done

    def give_back(self, number: int, *, whole: bool) -> bool:
        """Refund a half, or all that is left, by staff."""
        possible = super().give_back(number, whole=whole)
        try:
            with transaction.atomic():
                payment = Payment.objects.select_for_update().get(order_id=self.ids[number])
                promised = sum(payment.refunds.values_list("amount", flat=True))
                left = payment.captured_amount - promised
                amount = left if whole or promised else payment.captured_amount // 2
                refund_part(payment, amount, reason="scratched", requested_by="admin:ada")
            done = True
        except (Payment.DoesNotExist, NotRefundable):
            done = False
        assert done == possible
        self.compare()
        return done

    def book(self, sku: str, difference: int) -> bool:
        """Book a receipt or correction by staff."""
        possible = super().book(sku, difference)
        try:
            adjust_stock(sku, difference, "counted", "admin:ada")
            done = True
        except UnableToAdjustStock:
            done = False
        assert done == possible
        tend_backorders()
        self.compare()
        return done

    def lose_patience(self, number: int) -> bool:
        """Move the end of a backorder's time into the past, and run the sweep."""
        possible = super().lose_patience(number)
        moved = Backorder.objects.filter(order_id=self.ids[number]).update(due_at=timezone.now() - timedelta(seconds=1))
        tend_backorders()
        assert bool(moved) == possible
        self.compare()
        return possible

    def begin(self, number: int, fate: Fate) -> bool:
        """Claim the payment and call the gateway, after the earlier claim has expired."""
        known = super().begin(number, fate)
        now = timezone.now()
        Payment.objects.update(due_at=now + timedelta(days=1))
        ours = Payment.objects.filter(order_id=self.ids[number])
        ours.update(due_at=now - timedelta(days=1), claimed_until=None)
        Refund.objects.update(due_at=now - timedelta(days=1))
        Attempt.objects.exclude(sent_at=None).update(sent_at=now - timedelta(days=1))
        calls = claim_calls(1)
        assert len(calls) == 1, "no call was claimed"
        (call,) = calls
        assert call.operation == self.sales[number].in_flight[-1].operation.split()[0]
        before, Books.fate = set(Books.entries), fate
        self.finished[number].append(make_call(call, math.inf))
        Books.fate = "answered"
        self.booked_by[number] |= Books.entries.keys() - before
        self.compare()
        return known

    def end(self, number: int, *, oldest: bool) -> bool:
        """Record the result of a worker's call."""
        known = super().end(number, oldest=oldest)
        record_calls([self.finished[number].pop(0 if oldest else -1)])
        self.compare()
        return known

    def compare(self) -> None:
        """Assert that the model and the shop have the same orders, payments, stock and ledger."""
        orders = {order.pk: (order.status, order.stock, order.payment) for order in Order.objects.all()}
        states = [sale.state for sale in self.sales]
        assert [orders[pk] for pk in self.ids] == [(state.status, state.stock, state.payment) for state in states]
        assert len(orders) == len(self.ids)
        payments = {payment.order_id: payment for payment in Payment.objects.all()}
        shown = [
            (p.status, p.wanted.replace("nothing", "")) if (p := payments.get(pk)) else ("", "") for pk in self.ids
        ]
        assert shown == [(sale.payment, sale.wanted) for sale in self.sales]
        stock = {stock.sku: (stock.on_hand, stock.reserved) for stock in Stock.objects.all()}
        assert stock == {sku: (self.on_hand[sku], self.reserved[sku]) for sku in SKUS}
        held = dict(Reservation.objects.values_list("order_id", "state").distinct())
        held |= dict.fromkeys(Backorder.objects.values_list("order_id", flat=True), "waiting")
        assert [held.get(pk, "") for pk in self.ids] == [sale.held for sale in self.sales]
        assert list(find_stock_differences()) == []
        refunds = [
            list(Refund.objects.filter(payment__order_id=pk).values_list("status", flat=True)) for pk in self.ids
        ]
        assert refunds == [[refund.status for refund in sale.refunds] for sale in self.sales]
        booked = [[Books.entries[key] for key in keys] for keys in self.booked_by]
        assert [Counter(f"{answer.outcome} {operation}" for operation, answer in entries) for entries in booked] == [
            Counter(f"{outcome} {name.split()[0]}" for name, outcome in sale.ledger.items()) for sale in self.sales
        ]


def pass_deadline(order_id: UUID) -> None:
    """Move the deadline of the order into the past, and run the sweep."""
    ours = Order.objects.filter(pk=order_id)
    ours.update(deadline_at=timezone.now() - timedelta(seconds=1))
    cancel_overdue_orders()
    ours.update(deadline_at=timezone.now() + timedelta(days=1))
