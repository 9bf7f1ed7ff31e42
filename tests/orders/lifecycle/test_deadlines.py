"""The sweep cancels orders without answers after their deadline."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders.lifecycle import deadlines
from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import Move, advance_orders
from orders.models import Order
from orders.tasks import cancel_overdue_orders
from tests.orders.conftest import CONFIRMED, PlaceOrder, name_events

pytestmark = pytest.mark.django_db
H = Happening


def make_overdue(order: Order) -> Order:
    Order.objects.filter(pk=order.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    return order


def test_a_new_order_has_a_deadline(place: PlaceOrder) -> None:
    order = place()
    assert order.deadline_at - order.placed_at == timedelta(hours=24)


def test_the_sweep_cancels_only_overdue_orders(place: PlaceOrder) -> None:
    overdue, half = make_overdue(place()), make_overdue(place(H.STOCK_RESERVED))
    waiting, confirmed = place(), make_overdue(place(*CONFIRMED))
    cancel_overdue_orders()
    cancel_overdue_orders()
    for order in (overdue, half):
        order.refresh_from_db()
        assert (order.status, order.reason) == ("cancelled", "deadline_passed")
        assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    for order, status in [(waiting, "placed"), (confirmed, "confirmed")]:
        order.refresh_from_db()
        assert order.status == status


def test_the_number_of_statements_does_not_depend_on_the_number_of_orders(place: PlaceOrder) -> None:
    def sweep(count: int) -> int:
        for _ in range(count):
            make_overdue(place())
        with CaptureQueriesContext(connection) as queries:
            cancel_overdue_orders()
        return len(queries)

    assert sweep(12) == sweep(1)
    assert set(Order.objects.values_list("status", flat=True)) == {"cancelled"}


def test_an_order_that_can_not_be_cancelled_does_not_stop_the_others(
    place: PlaceOrder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = [make_overdue(place()) for _ in range(3)], make_overdue(place())
    from_saga = advance_orders

    def fail_for_bad(moves: Sequence[Move]) -> Any:
        if bad.pk in [move.order_id for move in moves]:
            raise DatabaseError("canceling statement due to lock timeout")
        return from_saga(moves)

    monkeypatch.setattr(deadlines, "advance_orders", fail_for_bad)
    cancel_overdue_orders()
    assert set(Order.objects.filter(status="cancelled")) == set(good)
    assert [record.order_id for record in caplog.records if "not cancelled" in record.message] == [bad.pk]  # type: ignore[attr-defined]


def test_a_sweep_continues_until_no_order_is_overdue(place: PlaceOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "TOGETHER", 2)
    make_overdue(place(*CONFIRMED))
    overdue = {make_overdue(place()) for _ in range(5)}
    cancel_overdue_orders()
    assert set(Order.objects.filter(status="cancelled")) == overdue


@pytest.mark.django_db(transaction=True)
def test_the_sweep_skips_an_order_that_a_consumer_has_locked(place: PlaceOrder) -> None:
    order, other = make_overdue(place()), make_overdue(place())
    answering = connection.copy()
    try:
        with transaction.atomic():
            pass
        answering.set_autocommit(False)
        with answering.cursor() as cursor:
            cursor.execute("select from orders_order where id = %s for update", [order.pk])
        cancel_overdue_orders()
        answering.rollback()
    finally:
        answering.close()
    assert set(Order.objects.filter(status="cancelled")) == {other}
