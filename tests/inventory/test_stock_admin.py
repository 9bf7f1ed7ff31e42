"""Staff see the stock and its ledger. They change numbers only by ledger entries with a person and a reason."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import Movement, Reservation, Stock
from inventory.services import adjust_stock, receive_opening_stock
from inventory.verification import find_stock_differences
from shop.catalogue.models import Category, Product
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db
Numbers = Callable[[str], tuple[int, int]]


@pytest.fixture(autouse=True)
def an_order(orders: Orders) -> None:
    receive_opening_stock({"CUP": 10})
    orders.place(("CUP", 3))


def number(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with a new form number."""
    return {**data, "form_number": str(uuid4())}


@pytest.mark.parametrize("model", ["stock", "reservation", "movement"])
def test_lists_and_details_open_for_staff(admin_client: Client, model: str) -> None:
    row = {"stock": Stock, "reservation": Reservation, "movement": Movement}[model]._default_manager.first()
    assert row is not None
    changelist = admin_client.get(reverse(f"admin:inventory_{model}_changelist") + "?q=CUP")
    detail = admin_client.get(reverse(f"admin:inventory_{model}_change", args=[row.pk]))
    assert (changelist.status_code, detail.status_code) == (200, 200)
    assert b"CUP" in changelist.content
    assert b"CUP" in detail.content


@pytest.mark.parametrize("model", ["reservation", "movement"])
def test_the_ledger_refuses_every_edit(admin_client: Client, model: str) -> None:
    row = {"reservation": Reservation, "movement": Movement}[model]._default_manager.first()
    assert row is not None
    addresses = [
        reverse(f"admin:inventory_{model}_add"),
        reverse(f"admin:inventory_{model}_change", args=[row.pk]),
        reverse(f"admin:inventory_{model}_delete", args=[row.pk]),
    ]
    assert [admin_client.post(address, {"sku": "X", "quantity": 9}).status_code for address in addresses] == [403] * 3


def test_a_receipt_is_booked_with_its_reason_and_the_numbers_cannot_be_typed(
    admin_client: Client, numbers: Numbers
) -> None:
    answer = admin_client.post(
        reverse("admin:inventory_stock_change", args=["CUP"]),
        number({"quantity": 5, "reason": "delivery 4711", "on_hand": 999, "reserved": 0, "sku": "POT"}),
    )

    assert answer.status_code == 302
    assert numbers("CUP") == (15, 3)
    movement = Movement.objects.get(reason="delivery 4711")
    assert (movement.kind, movement.on_hand_delta, movement.by) == ("received", 5, "admin:admin")
    assert list(find_stock_differences()) == []


def test_a_new_product_is_received_with_its_first_pieces(admin_client: Client, numbers: Numbers) -> None:
    category = Category.objects.create(slug="kitchen", name="Kitchen")
    Product.objects.create(sku="NEW", category=category, name="A new cup", price=100)
    answer = admin_client.post(
        reverse("admin:inventory_stock_add"), number({"sku": "NEW", "quantity": 7, "reason": "first delivery"})
    )
    assert answer.status_code == 302
    assert numbers("NEW") == (7, 0)
    assert list(find_stock_differences()) == []


def test_stock_of_an_unknown_product_is_refused(admin_client: Client) -> None:
    answer = admin_client.post(
        reverse("admin:inventory_stock_add"), number({"sku": "TYPO", "quantity": 7, "reason": "first delivery"})
    )
    assert "no product with this SKU" in answer.content.decode()
    assert not Stock.objects.filter(sku="TYPO").exists()


@pytest.mark.parametrize("quantity", ["0", "-1", "many", "1000001"])
def test_a_receipt_of_an_impossible_quantity_is_refused(admin_client: Client, numbers: Numbers, quantity: str) -> None:
    answer = admin_client.post(
        reverse("admin:inventory_stock_change", args=["CUP"]), number({"quantity": quantity, "reason": "a mistake"})
    )
    assert answer.status_code == 200
    assert numbers("CUP") == (10, 3)


def correct(client: Client, quantity: int, reason: str = "counted") -> Any:
    data = number({"kind": "corrected", "quantity": quantity, "reason": reason})
    return client.post(reverse("admin:inventory_stock_change", args=["CUP"]), data)


@pytest.mark.parametrize("difference", [-7, 4])
def test_a_correction_is_booked_with_the_person_and_the_reason(
    admin_client: Client, numbers: Numbers, difference: int
) -> None:
    assert correct(admin_client, difference).status_code == 302
    assert numbers("CUP") == (10 + difference, 3)
    movement = Movement.objects.get(kind="adjusted")
    assert (movement.on_hand_delta, movement.by, movement.reason) == (difference, "admin:admin", "counted")
    assert list(find_stock_differences()) == []


def test_a_correction_never_takes_pieces_that_orders_hold(admin_client: Client, numbers: Numbers) -> None:
    assert "3 of 10 pieces are held for orders" in correct(admin_client, -8).content.decode()
    assert numbers("CUP") == (10, 3)


def test_an_order_during_the_edit_makes_the_correction_fail_with_an_error(
    admin_client: Client, numbers: Numbers, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order_and_refuse(sku: str, *booked: object) -> None:
        orders.place((sku, 7))
        adjust_stock(sku, -7, "counted")

    monkeypatch.setattr("inventory.admin.adjust_stock", order_and_refuse)
    answer: Any = admin_client.post(
        reverse("admin:inventory_stock_change", args=["CUP"]),
        number({"kind": "corrected", "quantity": -7, "reason": "counted"}),
        follow=True,
    )
    assert "was changed successfully" not in answer.content.decode()
    assert (
        "The stock is unchanged. CUP: the correction -7 is impossible: 10 on hand, 10 held for orders."
        in answer.content.decode()
    )


def test_without_a_reason_nothing_is_booked(admin_client: Client, numbers: Numbers) -> None:
    assert "Enter a reason" in correct(admin_client, -1, "").content.decode()
    assert numbers("CUP") == (10, 3)


def test_the_threshold_changes_without_a_ledger_entry(admin_client: Client) -> None:
    admin_client.post(reverse("admin:inventory_stock_change", args=["CUP"]), number({"low_at": 7}))
    assert Stock.objects.get(sku="CUP").low_at == 7
    assert not Movement.objects.filter(kind="adjusted").exists()


@pytest.mark.parametrize(("level", "listed"), [("low", {"FEW", "GONE"}), ("out", {"GONE"}), ("ok", {"CUP"})])
def test_the_list_can_be_filtered_by_level(admin_client: Client, level: str, listed: set[str]) -> None:
    receive_opening_stock({"FEW": 5, "GONE": 0})
    answer: Any = admin_client.get(reverse("admin:inventory_stock_changelist"), {"level": level})
    assert {stock.sku for stock in answer.context["cl"].result_list} == listed


def test_stock_cannot_be_deleted(admin_client: Client) -> None:
    assert admin_client.post(reverse("admin:inventory_stock_delete", args=["CUP"]), {"post": "yes"}).status_code == 403
    assert Stock.objects.filter(sku="CUP").exists()


def test_customers_have_no_access(client: Client) -> None:
    assert client.get(reverse("admin:inventory_stock_changelist")).status_code == 302
