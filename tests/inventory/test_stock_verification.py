"""find_stock_differences() names each fault. The tests damage the tables by SQL."""

from uuid import UUID

import pytest
from django.db import connection

from inventory.services import receive_opening_stock
from inventory.verification import find_stock_differences
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db


@pytest.fixture
def order_ids(orders: Orders) -> dict[str, UUID]:
    """An order in each state, so that each rule has rows to check."""
    receive_opening_stock({"CUP": 20, "POT": 5})
    ids = {state: orders.place(("CUP", 2), ("POT", 1)) for state in ("held", "sold", "released", "returned")}
    for state in ("sold", "returned"):
        orders.confirm(ids[state])
    for state in ("released", "returned"):
        orders.cancel(ids[state])
    orders.place(("POT", 99))
    return ids


def test_consistent_tables_have_no_differences(order_ids: dict[str, UUID]) -> None:
    assert list(find_stock_differences()) == []


@pytest.mark.parametrize(
    ("breakage", "sentence"),
    [
        (
            "update inventory_stock set on_hand = on_hand + 1 where sku = 'CUP'",
            "stock of CUP: 19 on hand, but its movements add up to 18",
        ),
        (
            "update inventory_stock set reserved = reserved + 1 where sku = 'CUP'",
            "stock of CUP: 3 reserved, but its held reservations add up to 2",
        ),
        (
            "delete from inventory_movement where sku = 'CUP' and kind = 'received'",
            "stock of CUP: 18 on hand, but its movements add up to -2",
        ),
        (
            "delete from inventory_movement where order_id = '{held}' and sku = 'CUP'",
            "order {held}, CUP: a reservation of 2, but movements that reserve 0",
        ),
        (
            "delete from inventory_movement where order_id = '{sold}' and sku = 'POT' and kind = 'sold'",
            "order {sold}, POT: 1 sold, but its movements add up to +0 on hand and +1 reserved",
        ),
        (
            "delete from inventory_movement where order_id = '{released}' and sku = 'POT' and kind = 'released'",
            "order {released}, POT: 1 released, but its movements add up to +0 on hand and +1 reserved",
        ),
        (
            "delete from inventory_movement where order_id = '{returned}' and sku = 'POT' and kind = 'returned'",
            "order {returned}, POT: 1 released, but its movements add up to -1 on hand and +0 reserved",
        ),
        (
            "delete from inventory_reservation where order_id = '{sold}' and sku = 'CUP'",
            "order {sold}, CUP: movements, but no reservation",
        ),
        (
            "update inventory_reservation set state = 'released' where order_id = '{held}' and sku = 'CUP'",
            "stock of CUP: 2 reserved, but its held reservations add up to 0",
        ),
        (
            "update inventory_reservation set quantity = 3 where order_id = '{sold}' and sku = 'CUP'",
            "order {sold}, CUP: a reservation of 3, but movements that reserve 2",
        ),
        (
            "delete from inventory_stock where sku = 'POT'",
            "SKU POT has movements or reservations, but no stock row",
        ),
        (
            "update inventory_movement set reserved_delta = 4 where order_id = '{held}' and sku = 'CUP'",
            "stock of CUP: 2 reserved, but its movements add up to 4",
        ),
    ],
)
def test_each_damage_is_named(order_ids: dict[str, UUID], breakage: str, sentence: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(breakage.format(**order_ids))
        assert cursor.rowcount == 1
    assert sentence.format(**order_ids) in list(find_stock_differences())


def test_two_errors_that_cancel_each_other_out_are_both_named(order_ids: dict[str, UUID]) -> None:
    with connection.cursor() as cursor:
        for order, kind, delta in [("sold", "sold", 1), ("returned", "returned", -1)]:
            cursor.execute(
                "update inventory_movement set on_hand_delta = on_hand_delta + %s, reserved_delta = reserved_delta + %s"
                " where order_id = %s and sku = 'CUP' and kind = %s",
                [delta, delta if kind == "sold" else 0, order_ids[order], kind],
            )
    differences = "\n".join(find_stock_differences())
    assert f"order {order_ids['sold']}, CUP: 2 sold" in differences
    assert f"order {order_ids['returned']}, CUP: 2 released" in differences
