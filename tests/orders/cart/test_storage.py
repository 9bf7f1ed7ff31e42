"""Stored carts: concurrent changes, orders, log-ins, access and expiry."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from orders import tasks
from orders.cart import storage as stored_carts
from orders.cart.storage import (
    MOST_LINES,
    CartGone,
    change_quantity,
    create_cart,
    delete_expired_carts,
    find_cart,
    merge_carts,
)
from orders.checkout.placement import place_order
from orders.models import Cart, CartLine, Order
from shop.catalogue.models import Category, Product
from tests.orders.checkout.test_idempotency_races import run_together
from tests.orders.conftest import Api, MakeBody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]


def held(cart_id: UUID | str) -> dict[str, int]:
    return dict(CartLine.objects.filter(cart_id=cart_id).values_list("sku", "quantity"))


class CartApi:
    """A client of the carts API."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str = "", body: Any = None) -> Any:
        data = "" if body is None else json.dumps(body)
        return self.client.generic(method, f"/api/v1/carts/{path}", data, content_type="application/json")


@pytest.fixture
def carts(client: Client) -> CartApi:
    return CartApi(client)


def test_a_cart_can_be_created_filled_changed_and_deleted(carts: CartApi) -> None:
    made = carts("POST")
    assert made.status_code == 201
    cart_id = made.json()["id"]
    assert made["Location"] == f"http://testserver/api/v1/carts/{cart_id}/"
    carts("POST", f"{cart_id}/lines/", {"sku": "MUG", "quantity": 2})
    carts("POST", f"{cart_id}/lines/", {"sku": "MUG", "quantity": 1})
    carts("PUT", f"{cart_id}/lines/LAMP/", {"quantity": 4})
    assert held(cart_id) == {"MUG": 3, "LAMP": 4}
    assert carts("DELETE", f"{cart_id}/lines/LAMP/").status_code == 204
    assert carts("GET", f"{cart_id}/?country=DE").json() == {
        "id": cart_id,
        "currency": "EUR",
        "subtotal": 3750,
        "discount": 0,
        "shipping": 490,
        "tax": 677,
        "total": 4240,
        "lines": [
            {
                "sku": "MUG",
                "name": "Mug",
                "quantity": 3,
                "unit_price": 1250,
                "line_total": 3750,
                "previous_unit_price": None,
            }
        ],
        "no_longer_sold": [],
    }
    assert carts("DELETE", f"{cart_id}/").status_code == 204
    assert carts("GET", f"{cart_id}/").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sku": "NONE", "quantity": 1}, "sku"),
        ({"sku": "CHAIR", "quantity": 1}, "sku"),
        ({"sku": "MUG", "quantity": 0}, "quantity"),
        ({"sku": "MUG", "quantity": 1, "price": 1}, "price"),
        ({"sku": "MUG"}, "quantity"),
    ],
)
def test_a_product_that_can_not_be_added_is_reported_by_field(carts: CartApi, body: dict[str, Any], field: str) -> None:
    cart_id = carts("POST").json()["id"]
    answer = carts("POST", f"{cart_id}/lines/", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert held(cart_id) == {}


def test_a_cart_becomes_an_order_once(api: Api, make_body: MakeBody) -> None:
    cart_id = create_cart()
    change_quantity(cart_id, None, "MUG", 4)
    body = order_cart(make_body, cart_id)
    first = api.post(body, key="k-1")
    assert first.status_code == 201
    assert [line["quantity"] for line in first.json()["lines"]] == [4]
    assert not Cart.objects.exists()
    assert api.post(body, key="k-1").content == first.content
    again = api.post(body, key="k-2")
    assert (again.status_code, again.json()["errors"][0]["field"]) == (400, "cart")
    assert Order.objects.count() == 1


def order_cart(make_body: MakeBody, cart_id: UUID, **changes: Any) -> dict[str, Any]:
    body = make_body(cart=str(cart_id), **changes)
    del body["lines"]
    return body


def test_a_price_change_since_the_product_was_added_is_refused_first(
    api: Api, carts: CartApi, make_body: MakeBody
) -> None:
    cart_id = create_cart()
    change_quantity(cart_id, None, "MUG", 4)
    Product.objects.filter(sku="MUG").update(price=1300)
    change_quantity(cart_id, None, "MUG", 1, add=True)
    answer = api.post(order_cart(make_body, cart_id))
    assert answer.status_code == 409
    assert answer.json()["errors"] == [{"field": "lines[0].unit_price", "message": "MUG now costs €13.00, not €12.50."}]
    shown = carts("GET", f"{cart_id}/").json()
    assert (shown["lines"][0]["previous_unit_price"], shown["total"]) == (1250, 6500)
    assert api.post(order_cart(make_body, cart_id, expected_total=shown["total"])).status_code == 201


def test_another_customers_cart_is_not_found(client: Client, carts: CartApi, make_body: MakeBody, api: Api) -> None:
    ada, eve = (User.objects.create(username=name) for name in ("ada", "eve"))
    cart_id = create_cart(ada.pk)
    change_quantity(cart_id, ada.pk, "MUG", 1)
    for caller in (None, eve.pk):
        with pytest.raises(CartGone):
            find_cart(cart_id, caller)
        with pytest.raises(CartGone):
            change_quantity(cart_id, caller, "MUG", 5)
    for method, path, body in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "lines/", {"sku": "MUG", "quantity": 1}),
        ("PUT", "lines/MUG/", {"quantity": 2}),
        ("DELETE", "lines/MUG/", None),
    ]:
        assert carts(method, f"{cart_id}/{path}", body).status_code == 404
    assert api.post(order_cart(make_body, cart_id)).status_code == 400
    assert held(cart_id) == {"MUG": 1}
    assert create_cart(ada.pk) == cart_id, "a customer has one cart"


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_are_all_kept() -> None:
    cart_id = create_cart()
    calls: list[Any] = [lambda: change_quantity(cart_id, None, "MUG", 1, add=True)] * 20
    calls += [lambda: change_quantity(cart_id, None, "LAMP", 2, add=True)] * 20
    run_together(calls, threads=10)
    assert held(cart_id) == {"MUG": 20, "LAMP": 40}


@pytest.mark.django_db(transaction=True)
def test_concurrent_orders_of_one_cart_place_one_order(make_body: MakeBody) -> None:
    cart_id = create_cart()
    change_quantity(cart_id, None, "MUG", 1)
    body = order_cart(make_body, cart_id)

    def place(number: int) -> str:
        try:
            return str(place_order(idempotency_key=f"k-{number % 4}", request=body).answer["id"])
        except CartGone:
            return "gone"

    results = run_together([lambda number=n: place(number) for n in range(16)], threads=16)
    assert set(results) == {str(Order.objects.get().pk), "gone"}
    assert results.count("gone") == 12


def test_log_in_adds_the_guests_cart_to_the_customers_own(products: None) -> None:
    ada = User.objects.create(username="ada")
    own, guest = create_cart(ada.pk), create_cart()
    change_quantity(own, ada.pk, "MUG", 998)
    for sku in ("MUG", "LAMP"):
        change_quantity(guest, None, sku, 2)
    assert merge_carts(guest, ada) == own
    assert merge_carts(guest, ada) == own
    assert held(own) == {"MUG": 999, "LAMP": 2}
    assert Cart.objects.count() == 1


def test_log_in_without_a_cart_takes_up_to_fifty_products_from_the_guest() -> None:
    ada = User.objects.create(username="ada")
    assert merge_carts(None, ada) is None
    assert merge_carts(uuid4(), ada) is None
    shelf = Category.objects.get()
    for number in range(MOST_LINES):
        Product.objects.create(sku=f"THING-{number}", name="Thing", price=100, category=shelf)
    guest = create_cart()
    for number in range(MOST_LINES):
        change_quantity(guest, None, f"THING-{number}", 1)
    own = create_cart(ada.pk)
    change_quantity(own, ada.pk, "MUG", 1)
    assert merge_carts(guest, ada) == own
    assert len(held(own)) == MOST_LINES
    assert "MUG" in held(own)


def test_another_customers_cart_can_not_be_merged() -> None:
    ada, eve = (User.objects.create(username=name) for name in ("ada", "eve"))
    cart_id = create_cart(ada.pk)
    change_quantity(cart_id, ada.pk, "MUG", 1)
    assert merge_carts(cart_id, eve) is None
    assert held(cart_id) == {"MUG": 1}


def test_an_expired_cart_is_deleted() -> None:
    old, new = create_cart(), create_cart()
    Cart.objects.filter(pk=old).update(changed_at=timezone.now() - timedelta(days=31))
    Cart.objects.filter(pk=new).update(changed_at=timezone.now() - timedelta(days=29))
    tasks.forget_old_carts()
    assert list(Cart.objects.values_list("pk", flat=True)) == [new]


def expire(*cart_ids: UUID) -> None:
    Cart.objects.filter(pk__in=cart_ids).update(changed_at=timezone.now() - timedelta(days=31))


def test_more_expired_carts_than_fit_into_a_transaction_are_all_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_carts, "TOGETHER", 2)
    expired = [create_cart() for _ in range(5)]
    for cart_id in expired:
        change_quantity(cart_id, None, "MUG", 1)
    expire(*expired)
    assert delete_expired_carts() == 5
    assert not Cart.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_skips_a_cart_during_a_merge() -> None:
    ada = User.objects.create(username="ada")
    own, guest, other = create_cart(ada.pk), create_cart(), create_cart()
    expire(own, guest, other)
    with transaction.atomic():
        Cart.objects.select_for_update().get(pk=guest)  # the first lock of merge_carts()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(clear_in_thread).result(timeout=60) == 2
        assert Cart.objects.filter(pk=guest).exists()


def clear_in_thread() -> int:
    try:
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = '5s'")  # a wait for a lock fails
        return delete_expired_carts()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_concurrent_log_ins_and_sweep_raise_no_error_and_lose_no_line() -> None:
    users = [User.objects.create(username=f"user-{number}") for number in range(40)]
    owns = [create_cart(user.pk) for user in users]
    guests = [create_cart() for _ in users]
    for cart_id in guests:
        change_quantity(cart_id, None, "MUG", 2)
    expire(*owns, *guests)
    merges: list[Any] = [
        lambda guest=guest, user=user: merge_carts(guest, user) for guest, user in zip(guests, users, strict=True)
    ]
    clearings: list[Any] = [delete_expired_carts] * 40
    run_together([call for pair in zip(merges, clearings, strict=True) for call in pair], threads=8)
    for user in users:  # all lines are there if the merge was first, and none if the sweep was first
        cart = Cart.objects.filter(customer=user).first()
        assert cart is None or held(cart.pk) in ({}, {"MUG": 2})
    assert not Cart.objects.filter(customer=None).exists()
