"""The writes that apply the saga to orders: concurrent answers, events, history and batches."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orders import handlers
from orders.lifecycle.saga import Happening, ImpossibleTransition
from orders.lifecycle.transitions import Move, advance_order, advance_orders
from orders.models import Order, Transition
from relay import publish
from relay.models import Outbox
from relay.publisher.topics import decode_event
from shop.events import (
    InventoryEvent,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderShipped,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    Shortage,
    StockRejected,
    StockReserved,
)
from tests.orders.conftest import CONFIRMED, PAID, PlaceOrder, name_events, read_events

pytestmark = pytest.mark.django_db
H = Happening


def advance(order: Order, happening: Happening, event_id: UUID | None = None) -> Order:
    with transaction.atomic():
        return advance_order(order.pk, happening, event_id)


@pytest.mark.django_db(transaction=True)
def test_both_answers_at_once_confirm_exactly_once(place: PlaceOrder) -> None:
    """Without the lock, each thread reads the other's answer as pending, and the order is never confirmed."""
    orders = [place() for _ in range(20)]
    barrier = threading.Barrier(2)

    def answer(happening: Happening) -> None:
        try:
            for order in orders:
                barrier.wait(30)
                advance(order, happening, uuid4())
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(answer, happening) for happening in CONFIRMED]:
            future.result()

    for order in orders:
        order.refresh_from_db()
        assert (order.status, order.stock, order.payment) == ("confirmed", "reserved", "authorized")
        assert name_events(order) == ["OrderPlaced", "OrderConfirmed"]


def test_each_step_publishes_its_event_and_stores_its_time(place: PlaceOrder) -> None:
    order = place(*PAID, H.MARKED_SHIPPED, H.MARKED_DELIVERED)
    _, confirmed, shipped, delivered = read_events(order)
    about: dict[str, Any] = {"order_id": order.pk, "number": order.number, "contact_id": order.contact_id}
    stamps: list[dict[str, Any]] = [
        {"event_id": event.event_id, "occurred_at": event.occurred_at} for event in (confirmed, shipped, delivered)
    ]
    assert confirmed == OrderConfirmed(**about, **stamps[0], currency="EUR", total=8740, units=4)
    assert shipped == OrderShipped(**about, **stamps[1])
    assert delivered == OrderDelivered(**about, **stamps[2])
    times = [event.occurred_at for event in (confirmed, shipped, delivered)]
    assert [order.confirmed_at, order.shipped_at, order.delivered_at] == times
    assert order.cancelled_at is None
    assert [row.sequence for row in Outbox.objects.order_by("sequence")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("happening", "reason"),
    [
        (H.STOCK_REJECTED, "out_of_stock"),
        (H.PAYMENT_DECLINED, "payment_declined"),
        (H.CANCEL_REQUESTED, "cancelled_on_request"),
        (H.CANCELLED_BY_STAFF, "cancelled_by_staff"),
        (H.DEADLINE_PASSED, "deadline_passed"),
    ],
)
def test_a_cancelled_order_shows_the_reason(place: PlaceOrder, happening: Happening, reason: str) -> None:
    order = place(happening)
    _, cancelled = read_events(order)
    assert isinstance(cancelled, OrderCancelled)
    assert (cancelled.reason, cancelled.total, cancelled.units) == (reason, 8740, 4)
    assert (order.status, order.reason, order.cancelled_at) == ("cancelled", reason, cancelled.occurred_at)


def test_the_history_has_every_step_and_its_cause(place: PlaceOrder) -> None:
    order = place()
    causes = [uuid4(), uuid4(), uuid4()]
    for happening, cause in zip(PAID, causes, strict=True):
        advance(order, happening, cause)
    advance(order, H.MARKED_SHIPPED)
    steps = list(Transition.objects.values_list("event", "before", "after", "event_id"))
    published = {row.type: row.event_id for row in Outbox.objects.all()}
    assert steps == [
        ("OrderPlaced", "", "placed", published["OrderPlaced.v4"]),
        ("StockReserved", "placed", "placed", causes[0]),
        ("PaymentAuthorized", "placed", "confirmed", causes[1]),
        ("PaymentCaptured", "confirmed", "confirmed", causes[2]),
        ("MarkedShipped", "confirmed", "shipped", published["OrderShipped.v1"]),
    ]


def test_a_late_answer_is_recorded_and_publishes_nothing(place: PlaceOrder) -> None:
    order = place(H.CANCEL_REQUESTED)
    cause = uuid4()
    advance(order, H.PAYMENT_AUTHORIZED, cause)
    order.refresh_from_db()
    assert (order.status, order.payment, order.reason) == ("cancelled", "authorized", "cancelled_on_request")
    assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    assert order.history.get(event_id=cause).after == "cancelled"


def test_an_impossible_transition_changes_nothing(place: PlaceOrder) -> None:
    order = place(*CONFIRMED)
    before = Order.objects.values().get(pk=order.pk), Transition.objects.count(), Outbox.objects.count()
    for happening in (H.MARKED_DELIVERED, H.MARKED_SHIPPED, H.STOCK_RESERVED):
        with pytest.raises(ImpossibleTransition, match=f"{happening}"):
            advance(order, happening, uuid4())
    assert (Order.objects.values().get(pk=order.pk), Transition.objects.count(), Outbox.objects.count()) == before


def test_a_second_cancellation_changes_nothing(place: PlaceOrder) -> None:
    order = place(H.CANCEL_REQUESTED)
    advance(order, H.CANCEL_REQUESTED)
    assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    assert order.history.count() == 2


def test_an_unknown_order_can_not_be_advanced() -> None:
    with pytest.raises(Order.DoesNotExist), transaction.atomic():
        advance_order(uuid4(), H.STOCK_RESERVED, uuid4())


def test_each_event_of_inventory_and_payments_reaches_the_saga(place: PlaceOrder) -> None:
    confirmed, stock_out, unpaid = place(), place(), place()

    def money(order: Order) -> dict[str, Any]:
        return {"order_id": order.pk, "amount": order.total, "currency": order.currency}

    shortages = [Shortage(sku="LAMP", requested=1, available=0)]
    said: list[InventoryEvent | PaymentEvent] = [
        StockReserved(order_id=confirmed.pk),
        PaymentAuthorized(**money(confirmed)),
        PaymentCaptured(**money(confirmed)),
        StockRejected(order_id=stock_out.pk, shortages=shortages),
        PaymentVoided(**money(stock_out)),
        PaymentDeclined(**money(unpaid), reason="card declined"),
        PaymentRefunded(**money(confirmed), left=0),
    ]
    for event in said:
        with transaction.atomic():
            handlers.advance([event])
        assert Transition.objects.get(event_id=event.event_id).event == type(event).__name__
    for order in (confirmed, stock_out, unpaid):
        order.refresh_from_db()
    assert (confirmed.status, confirmed.payment) == ("confirmed", "refunded")
    assert (stock_out.status, stock_out.reason) == ("cancelled", "out_of_stock")
    assert (unpaid.status, unpaid.reason) == ("cancelled", "payment_declined")


def test_partial_refunds_leave_an_order_captured_until_nothing_is_left(place: PlaceOrder) -> None:
    order = place(*PAID)
    for amount, left, known in ((100, order.total - 100, "captured"), (order.total - 100, 0, "refunded")):
        event = PaymentRefunded(order_id=order.pk, amount=amount, currency="EUR", left=left)
        with transaction.atomic():
            handlers.advance([event])
        order.refresh_from_db()
        assert order.payment == known
    assert list(order.history.values_list("event", flat=True))[-2:] == ["PaymentPartlyRefunded", "PaymentRefunded"]
    advance(order, H.CANCELLED_BY_STAFF)
    order.refresh_from_db()
    assert (order.status, order.payment) == ("cancelled", "refunded")


@pytest.mark.parametrize(("part", "known"), [(0, "refunded"), (1, "captured")])
def test_a_version_1_refund_is_full_if_it_equals_the_orders_total(place: PlaceOrder, part: int, known: str) -> None:
    order = place(*PAID, H.CANCEL_REQUESTED)
    money = {"order_id": str(order.pk), "amount": order.total - part, "currency": "EUR"}
    stamp = {"event_id": str(uuid4()), "occurred_at": "2026-05-04T12:34:56Z"}
    event = decode_event("PaymentRefunded.v1", "shop.payments", json.dumps(stamp | money))
    with transaction.atomic():
        handlers.advance([event])
    order.refresh_from_db()
    assert order.payment == known


def test_the_migration_computes_full_refunds_from_the_history(place: PlaceOrder) -> None:
    """The statement of migration 0006. Before it, only the first partial refund of a cancelled order counted."""
    wholly, partly, shipped = place(*PAID), place(*PAID, H.CANCEL_REQUESTED), place(*PAID, H.MARKED_SHIPPED)
    unknown = place(*PAID, H.CANCEL_REQUESTED)
    parts = {wholly: (100, wholly.total - 100), partly: (100,), shipped: (shipped.total,)}
    for order, amounts in parts.items():
        for amount in amounts:
            event = PaymentRefunded(order_id=order.pk, amount=amount, currency="EUR", left=None)
            with transaction.atomic():
                publish(event)
            make_transition(order, event.event_id)
    make_transition(unknown, uuid4())
    Order.objects.filter(status="cancelled").update(payment="refunded")
    migration = import_module("orders.migrations.0006_wholly_refunded")
    with connection.cursor() as cursor:
        cursor.execute(migration._FROM_EVENTS)
    for order, known in ((wholly, "refunded"), (partly, "captured"), (shipped, "refunded"), (unknown, "refunded")):
        order.refresh_from_db()
        assert order.payment == known


def make_transition(order: Order, event_id: UUID) -> None:
    now = timezone.now()
    Transition.objects.create(order=order, event="PaymentRefunded", event_id=event_id, before="x", after="x", at=now)


def test_a_batch_advances_each_order_by_its_own_state(place: PlaceOrder) -> None:
    paid, unpaid, ended = place(H.PAYMENT_AUTHORIZED), place(), place(H.CANCEL_REQUESTED)
    causes = {order.pk: uuid4() for order in (paid, unpaid, ended)}
    with transaction.atomic():
        advanced = advance_orders([Move(pk, H.STOCK_RESERVED, causes[pk]) for pk in causes])
    assert [order.status for order in advanced] == ["confirmed", "placed", "cancelled"]
    for order, published in zip((paid, unpaid, ended), (["OrderConfirmed"], [], ["OrderCancelled"]), strict=True):
        order.refresh_from_db()
        assert (order.stock, name_events(order)) == ("reserved", ["OrderPlaced", *published])
        assert order.history.get(event_id=causes[order.pk]).after == order.status


def test_both_answers_in_one_batch_confirm_an_order_once(place: PlaceOrder) -> None:
    order = place()
    reserved = StockReserved(order_id=order.pk)
    authorized = PaymentAuthorized(order_id=order.pk, amount=order.total, currency=order.currency)
    with transaction.atomic():
        handlers.advance([reserved, authorized])
    order.refresh_from_db()
    assert (order.status, order.stock, order.payment) == ("confirmed", "reserved", "authorized")
    assert name_events(order) == ["OrderPlaced", "OrderConfirmed"]
    steps = order.history.order_by("id").values_list("event_id", "before", "after")
    assert list(steps)[1:] == [
        (reserved.event_id, "placed", "placed"),
        (authorized.event_id, "placed", "confirmed"),
    ]


def test_one_impossible_move_rolls_the_whole_batch_back(place: PlaceOrder) -> None:
    """The consumer then finds the failing event by bisection, and parks only its key."""
    good, bad = place(), place(H.STOCK_RESERVED)
    with pytest.raises(ImpossibleTransition), transaction.atomic():
        advance_orders([Move(order.pk, H.STOCK_RESERVED, uuid4()) for order in (good, bad)])
    good.refresh_from_db()
    assert (good.stock, good.history.count()) == ("pending", 1)
