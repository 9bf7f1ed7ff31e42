"""Orders that find too few pieces wait while undecided orders hold the pieces, and each order gets one answer."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inventory import backorders
from inventory.backorders import tend_backorders
from inventory.handlers import move_stock
from inventory.models import Backorder, Movement, Reservation, Stock
from inventory.services import adjust_stock, receive_opening_stock, receive_stock
from inventory.tasks import tend_backorders as tend_backorders_task
from inventory.verification import find_backorders_in_flight, find_stock_differences
from shop.celery import app
from shop.events import OrderCancelled, OrderConfirmed, OrderPlaced
from shop.tasks import QUEUES
from tests.inventory.conftest import Orders, make_confirmed, make_placed

pytestmark = pytest.mark.django_db
Numbers = Callable[[str], tuple[int, int]]


@pytest.fixture(autouse=True)
def opening_stock(db: None) -> Iterator[None]:
    receive_opening_stock({"CUP": 10, "POT": 2})
    yield
    assert list(find_stock_differences()) == []


def kinds(orders: Orders, *order_ids: UUID) -> list[list[str]]:
    """Return the names of inventory's answers to each order."""
    return [[type(answer).__name__ for answer in orders.answers(order_id)] for order_id in order_ids]


def make_cancelled(order_id: UUID) -> OrderCancelled:
    return OrderCancelled(
        order_id=order_id, number="N1", contact_id=uuid.UUID(int=1), currency="EUR", total=1, units=1, reason="because"
    )


def test_an_order_waits_for_held_pieces_and_gets_them_back(orders: Orders, numbers: Numbers) -> None:
    holder = orders.place(("POT", 2))
    waiting = orders.place(("POT", 1), ("CUP", 3))
    assert kinds(orders, waiting) == [[]]
    assert numbers("CUP") == (10, 0)
    assert Stock.objects.get(sku="POT").waiting == 1
    assert find_backorders_in_flight() == 1

    orders.cancel(holder)

    assert kinds(orders, waiting) == [["StockReserved"]]
    assert (numbers("POT"), numbers("CUP")) == ((2, 1), (10, 3))
    assert not Backorder.objects.exists()


def test_a_backorder_holds_its_pieces_by_the_id_of_its_own_event(orders: Orders) -> None:
    holder = orders.place(("POT", 2))
    event = make_placed(uuid.uuid4(), [("POT", 1)])
    with transaction.atomic():
        move_stock([event])
    orders.cancel(holder)

    assert Movement.objects.get(order_id=event.order_id).event_id == event.event_id


def test_a_backorder_is_rejected_as_soon_as_the_pieces_are_sold(orders: Orders) -> None:
    holder = orders.place(("POT", 2))
    waiting = orders.place(("POT", 1))
    orders.confirm(holder)

    assert orders.shortages(waiting) == [("POT", 1, 0)]


def test_backorders_are_served_in_the_sequence_of_their_arrival(orders: Orders) -> None:
    holder = orders.place(("POT", 2))
    first, second = orders.place_together([("POT", 1)], [("POT", 1)])
    third = orders.place(("POT", 1))
    orders.cancel(holder)

    assert kinds(orders, first, second, third) == [["StockReserved"], ["StockReserved"], []]


def test_returned_pieces_go_to_backorders_before_new_orders_of_the_same_batch(orders: Orders) -> None:
    holder = orders.place(("POT", 2))
    waiting, newcomer = orders.place(("POT", 2)), make_placed(uuid.uuid4(), [("POT", 1)])
    with transaction.atomic():
        move_stock([newcomer, make_cancelled(holder)])

    assert kinds(orders, waiting, newcomer.order_id) == [["StockReserved"], []]


def test_a_large_backorder_does_not_block_a_smaller_one(orders: Orders) -> None:
    first, second = orders.place(("POT", 1)), orders.place(("POT", 1))
    large, small = orders.place(("POT", 2)), orders.place(("POT", 1))
    orders.cancel(first)
    assert kinds(orders, large, small) == [[], ["StockReserved"]]
    orders.cancel(small)
    orders.cancel(second)
    assert kinds(orders, large) == [["StockReserved"]]


def test_a_cancelled_backorder_is_answered_once_and_holds_nothing(orders: Orders, numbers: Numbers) -> None:
    holder = orders.place(("POT", 2))
    waiting = orders.place(("POT", 1))
    orders.cancel(waiting)
    orders.cancel(holder)
    tend_backorders()

    assert orders.shortages(waiting) == [("POT", 1, 0)]
    assert numbers("POT") == (2, 0)
    assert not Reservation.objects.filter(order_id=waiting).exists()


def test_a_backorder_that_is_cancelled_together_with_the_holder_is_not_served(orders: Orders) -> None:
    holder, waiting = orders.place(("POT", 2)), orders.place(("POT", 1))
    with transaction.atomic():
        move_stock([make_cancelled(holder), make_cancelled(waiting)])

    assert orders.shortages(waiting) == [("POT", 1, 0)]


def test_a_backorder_is_rejected_when_its_time_is_over(orders: Orders) -> None:
    orders.place(("POT", 2))
    late, early = orders.place(("POT", 1)), orders.place(("POT", 1))
    tend_backorders()
    assert kinds(orders, late, early) == [[], []]
    Backorder.objects.filter(order_id=late).update(due_at=timezone.now() - timedelta(seconds=1))
    tend_backorders_task()

    assert orders.shortages(late) == [("POT", 1, 0)]
    assert kinds(orders, early) == [[]]


def test_an_overdue_backorder_is_tried_once_more_before_it_is_rejected(orders: Orders) -> None:
    """The pieces may have returned without a consumer that could serve the backorder."""
    orders.place(("POT", 2))
    waiting = orders.place(("POT", 1))
    receive_stock("POT", 1, "delivery 1")
    Backorder.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    tend_backorders()

    assert kinds(orders, waiting) == [["StockReserved"]]


def test_a_receipt_serves_backorders_and_a_correction_ends_them(orders: Orders) -> None:
    orders.place(("POT", 1))
    served, ended = orders.place(("POT", 2)), orders.place(("POT", 2))
    receive_stock("POT", 1, "delivery 1")
    tend_backorders()
    assert kinds(orders, served, ended) == [["StockReserved"], []]
    adjust_stock("POT", 1, "counted")
    orders.confirm(served)
    assert kinds(orders, ended) == [[]]
    adjust_stock("POT", -1, "broken")
    tend_backorders()
    assert orders.shortages(ended) == [("POT", 2, 0)]


def test_the_number_of_backorders_of_a_product_is_bounded(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backorders, "MOST_WAITING", 2)
    orders.place(("POT", 2))
    together = orders.place_together([("POT", 1)], [("POT", 1)], [("POT", 1)])
    later = orders.place(("POT", 1))

    assert kinds(orders, *together, later) == [[], [], ["StockRejected"], ["StockRejected"]]


def test_many_backorders_are_tended_in_several_transactions(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backorders, "TOGETHER", 2)
    orders.place(("POT", 2))
    waiting = orders.place_together(*([("POT", 1)] for _ in range(5)))
    Backorder.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    tend_backorders()

    assert kinds(orders, *waiting) == [["StockRejected"]] * 5


def test_batches_without_backorders_need_no_further_statement(orders: Orders) -> None:
    """The hot path: one lock, one statement for each class of event, and the events."""

    def count(*events: OrderPlaced | OrderConfirmed | OrderCancelled) -> int:
        with transaction.atomic(), CaptureQueriesContext(connection) as statements:
            move_stock(list(events))
        return len(statements)

    placed = [make_placed(uuid.uuid4(), [("CUP", 1)]) for _ in range(3)]
    assert count(*placed) == 3
    assert count(make_confirmed(placed[0].order_id)) == 2
    assert count(make_cancelled(placed[1].order_id)) == 2


def test_celery_beat_tends_backorders() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert "shop.tasks.tend_queues" in scheduled
    assert tend_backorders_task in QUEUES


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        (
            "update inventory_stock set waiting = 2 where sku = 'POT'",
            "2 orders are counted as waiting, but there are 1",
        ),
        ("delete from inventory_backorder", "1 orders are counted as waiting, but there are 0 backorders"),
    ],
)
def test_verification_finds_a_wrong_number_of_backorders(orders: Orders, damage: str, difference: str) -> None:
    orders.place(("POT", 2))
    orders.place(("POT", 1))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(damage)
        assert [found for found in find_stock_differences() if difference in found]
        transaction.set_rollback(True)
