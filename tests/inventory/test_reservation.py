"""Inventory's reactions to the events of an order."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from inventory.handlers import NothingHeldForOrder, consumer
from inventory.models import Movement, Reservation, Stock
from inventory.reservations import Hold, hold_stock
from inventory.services import receive_opening_stock
from inventory.verification import find_stock_differences
from relay import publish
from relay.consumer.deliveries import Delivery
from relay.models import Cursor, Outbox
from shop.events import StockReserved
from tests.inventory.conftest import Orders, make_confirmed

pytestmark = pytest.mark.django_db
Numbers = Callable[[str], tuple[int, int]]


@pytest.fixture(autouse=True)
def opening_stock(db: None) -> None:
    receive_opening_stock({"CUP": 10, "POT": 2, "TEA": 0})


@pytest.fixture(autouse=True)
def check_stock_afterwards(opening_stock: None) -> Any:
    yield
    assert list(find_stock_differences()) == []


def test_an_order_holds_every_line(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("POT", 2), ("CUP", 3))

    assert numbers("CUP") == (10, 3)
    assert numbers("POT") == (2, 2)
    assert [type(answer) for answer in orders.answers(order_id)] == [StockReserved]
    held = Reservation.objects.filter(order_id=order_id).order_by("sku")
    assert [(r.sku, r.quantity, r.state) for r in held] == [("CUP", 3, "held"), ("POT", 2, "held")]


def test_an_order_with_one_short_line_holds_no_line(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("CUP", 1), ("POT", 3), ("TEA", 1))

    assert numbers("CUP") == (10, 0)
    assert numbers("POT") == (2, 0)
    assert not Reservation.objects.exists()
    assert not Movement.objects.filter(order_id=order_id).exists()
    assert orders.shortages(order_id) == [("POT", 3, 2), ("TEA", 1, 0)]


def test_pieces_that_another_order_holds_are_not_available(orders: Orders) -> None:
    orders.confirm(orders.place(("POT", 1)))
    orders.place(("POT", 1))
    order_id = orders.place(("POT", 2))

    assert orders.shortages(order_id) == [("POT", 2, 0)]


def test_a_sku_that_inventory_does_not_know_is_a_shortage(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("CUP", 1), ("GHOST", 1))

    assert numbers("CUP") == (10, 0)
    assert orders.shortages(order_id) == [("GHOST", 1, 0)]


def test_lines_of_one_sku_count_together(orders: Orders, numbers: Numbers) -> None:
    held = orders.place(("CUP", 4), ("POT", 1), ("CUP", 5))
    rejected = orders.place(("POT", 2), ("POT", 1))

    assert numbers("CUP") == (10, 9)
    assert Reservation.objects.get(order_id=held, sku="CUP").quantity == 9
    assert orders.shortages(rejected) == [("POT", 3, 1)]


def test_orders_of_one_batch_are_served_in_their_order(orders: Orders, numbers: Numbers) -> None:
    first, greedy, last, late = orders.place_together(
        [("CUP", 6), ("POT", 1)], [("CUP", 11), ("POT", 1)], [("CUP", 4), ("POT", 1)], [("CUP", 1)]
    )

    assert [type(orders.answers(order)[0]) for order in (first, last)] == [StockReserved, StockReserved]
    assert orders.shortages(greedy) == [("CUP", 11, 4)]
    assert orders.answers(late) == []
    assert numbers("CUP") == (10, 10)
    assert numbers("POT") == (2, 2)


def test_in_a_batch_of_confirmed_orders_only_the_one_without_stock_is_parked(orders: Orders, numbers: Numbers) -> None:
    placed = sorted((orders.place(("CUP", 1)) for _ in range(4)), key=str)
    empty = uuid.UUID(int=placed[1].int + 1)
    with transaction.atomic():
        for order_id in [*placed, empty]:
            publish(make_confirmed(order_id))
    rows = Outbox.objects.filter(topic="shop.orders").order_by("position")
    consumer.process(
        [Delivery(row.topic, 0, row.position, row.key, row.sequence, row.type, row.body.encode()) for row in rows]
    )

    assert numbers("CUP") == (6, 0)
    parked = Cursor.objects.exclude(parked_at=None).get()
    assert parked.key == str(empty)
    assert parked.reason == f"NothingHeldForOrder: order {empty} was confirmed, but no stock is held for it"


def test_a_confirmed_order_takes_its_pieces_out_of_the_stock(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("CUP", 3), ("POT", 1))
    orders.confirm(order_id)

    assert numbers("CUP") == (7, 0)
    assert numbers("POT") == (1, 0)
    assert set(Reservation.objects.values_list("state", flat=True)) == {"sold"}


def test_a_cancelled_order_releases_the_pieces_that_it_holds(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("CUP", 3), ("POT", 2))
    orders.cancel(order_id)

    assert numbers("CUP") == (10, 0)
    assert numbers("POT") == (2, 0)
    assert set(Reservation.objects.values_list("state", flat=True)) == {"released"}


def test_an_order_cancelled_after_its_confirmation_puts_its_pieces_back(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("CUP", 3))
    orders.confirm(order_id)
    orders.cancel(order_id)

    assert numbers("CUP") == (10, 0)
    assert list(Movement.objects.filter(order_id=order_id).order_by("id").values_list("kind", flat=True)) == [
        "reserved",
        "sold",
        "returned",
    ]


def test_cancelling_a_rejected_order_changes_nothing(orders: Orders, numbers: Numbers) -> None:
    order_id = orders.place(("POT", 3))
    orders.cancel(order_id)

    assert numbers("POT") == (2, 0)
    assert not Movement.objects.filter(order_id=order_id).exists()


def test_an_order_touches_only_its_own_reservations(orders: Orders, numbers: Numbers) -> None:
    orders.place(("CUP", 2))
    orders.cancel(orders.place(("CUP", 3)))
    orders.confirm(orders.place(("CUP", 4)))

    assert numbers("CUP") == (6, 2)


def test_confirming_an_order_that_holds_nothing_is_an_error(orders: Orders) -> None:
    rejected = orders.place(("POT", 3))
    cancelled = orders.place(("POT", 1))
    orders.cancel(cancelled)

    for order_id in (rejected, cancelled, uuid.uuid4()):
        with pytest.raises(NothingHeldForOrder, match=str(order_id)):
            orders.confirm(order_id)


def test_every_movement_carries_the_id_of_its_event(orders: Orders) -> None:
    order_id = orders.place(("CUP", 1), ("POT", 1))
    confirmed = orders.confirm(order_id)

    sold = Movement.objects.filter(order_id=order_id, kind="sold")
    assert {(m.sku, m.event_id) for m in sold} == {("CUP", confirmed.event_id), ("POT", confirmed.event_id)}


def test_the_tables_refuse_to_hold_more_than_there_is() -> None:
    with pytest.raises(IntegrityError, match="stock_reserved_is_on_hand"), transaction.atomic():
        hold_stock([Hold(uuid.uuid4(), uuid.uuid4(), {"POT": 3})])
    with pytest.raises(IntegrityError, match="stock_reserved_is_not_negative"), transaction.atomic():
        Stock.objects.filter(sku="POT").update(reserved=-1)
    with pytest.raises(IntegrityError, match="stock_on_hand_is_not_negative"), transaction.atomic():
        Stock.objects.filter(sku="POT").update(on_hand=-1, reserved=-2)


def test_the_tables_refuse_a_second_reservation_and_a_second_movement_of_an_event() -> None:
    order_id, event_id = uuid.uuid4(), uuid.uuid4()
    hold_stock([Hold(order_id, event_id, {"CUP": 1})])
    with pytest.raises(IntegrityError, match="reservation_once_per_order_and_sku"), transaction.atomic():
        hold_stock([Hold(order_id, uuid.uuid4(), {"CUP": 1})])
    with pytest.raises(IntegrityError, match="movement_once_per_event_and_sku"), transaction.atomic():
        hold_stock([Hold(uuid.uuid4(), event_id, {"CUP": 1})])


@pytest.mark.parametrize(
    ("kind", "on_hand", "reserved"),
    [("received", -1, 0), ("reserved", 0, -1), ("released", 1, -1), ("sold", -1, -2), ("returned", -1, 0)],
)
def test_the_ledger_refuses_a_movement_that_does_not_fit_its_kind(kind: str, on_hand: int, reserved: int) -> None:
    order_id = None if kind == "received" else uuid.uuid4()
    with pytest.raises(IntegrityError, match="movement_deltas_fit_kind"), transaction.atomic():
        Movement.objects.create(
            sku="CUP",
            kind=kind,
            order_id=order_id,
            on_hand_delta=on_hand,
            reserved_delta=reserved,
            event_id=uuid.uuid4(),
            created_at="2026-01-01T00:00Z",
        )


def test_inventory_listens_to_orders_alone() -> None:
    assert consumer.topics == ["shop.orders"]
