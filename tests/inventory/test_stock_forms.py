"""A form of stock that is sent twice, one after the other or at the same time, is booked once."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from inventory.models import Movement, Stock
from inventory.services import receive_opening_stock
from inventory.verification import find_stock_differences
from shop.audit.models import StaffAction
from shop.catalogue.models import Category, Product

pytestmark = pytest.mark.django_db
ADD, CHANGE = "admin:inventory_stock_add", "admin:inventory_stock_change"


@pytest.fixture
def cup(db: None) -> str:
    category = Category.objects.create(slug="kitchen", name="Kitchen")
    Product.objects.create(sku="CUP", category=category, name="A cup", price=100)
    return reverse(ADD)


@pytest.fixture
def shelf(cup: str) -> str:
    """Return the page of a product with 10 pieces."""
    receive_opening_stock({"CUP": 10})
    return reverse(CHANGE, args=["CUP"])


def open_form(client: Client, page: str) -> str:
    """Open the form and return its number."""
    (number,) = re.findall(r'name="form_number" value="([^"]+)"', client.get(page).content.decode())
    return str(number)


def read_text(answer: Any) -> str:
    """Return the page, and for a redirect the page that follows."""
    return str(answer.content.decode())


@pytest.mark.parametrize(("kind", "quantity", "left"), [("received", 5, 15), ("corrected", -4, 6)])
def test_a_form_that_is_sent_twice_books_once_and_the_second_answer_says_so(
    admin_client: Client, shelf: str, kind: str, quantity: int, left: int
) -> None:
    form = {
        "kind": kind,
        "quantity": quantity,
        "reason": "delivery 4711",
        "form_number": open_form(admin_client, shelf),
    }
    assert admin_client.post(shelf, form).status_code == 302
    again = admin_client.post(shelf, form, follow=True)
    assert "The stock is unchanged. This form was already sent: admin:admin did change" in read_text(again)
    assert Stock.objects.get(sku="CUP").on_hand == left
    assert (Movement.objects.filter(reason="delivery 4711").count(), StaffAction.objects.count()) == (1, 1)
    assert list(find_stock_differences()) == []
    form["form_number"] = open_form(admin_client, shelf)
    assert admin_client.post(shelf, form).status_code == 302
    assert Movement.objects.filter(reason="delivery 4711").count() == 2


def test_the_first_receipt_that_is_sent_twice_books_once(admin_client: Client, cup: str) -> None:
    form = {"sku": "CUP", "quantity": 5, "reason": "first", "form_number": open_form(admin_client, cup)}
    assert admin_client.post(cup, form).status_code == 302
    assert "This form was already sent" in read_text(admin_client.post(cup, form, follow=True))
    assert Stock.objects.get(sku="CUP").on_hand == 5


@pytest.mark.parametrize("number", [None, "", "7", "not-a-number"])
def test_a_form_without_a_valid_number_books_nothing_and_says_so(
    admin_client: Client, shelf: str, number: str | None
) -> None:
    form = {"kind": "received", "quantity": 5, "reason": "delivery"} | (
        {} if number is None else {"form_number": number}
    )
    assert "The form has no number: open it again." in read_text(admin_client.post(shelf, form))
    assert Stock.objects.get(sku="CUP").on_hand == 10


@pytest.fixture
def closing() -> Iterator[None]:
    yield
    connections.close_all()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", [CHANGE, ADD])
def test_a_form_that_is_sent_eight_times_at_once_books_once(cup: str, page: str, closing: None) -> None:
    keeper = User.objects.create_superuser("keeper")
    begun = 0
    if page == CHANGE:
        begun = receive_opening_stock({"CUP": 10}) * 10
    form = {"sku": "CUP", "kind": "received", "quantity": 5, "reason": "delivery"}
    address = reverse(page, args=["CUP"] if page == CHANGE else [])
    clients = [Client() for _ in range(8)]
    for client in clients:
        client.force_login(keeper)
    form["form_number"] = open_form(clients[0], address)
    start = threading.Barrier(8)

    def send(client: Client) -> str:
        start.wait(60)
        try:
            return read_text(client.post(address, form, follow=True))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(send, clients))
    assert Stock.objects.get(sku="CUP").on_hand == begun + 5
    assert sum("This form was already sent" in text for text in pages) == 7
    assert StaffAction.objects.count() == 1
