"""The checkout page shows the amounts before the order, and reports changed prices."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from orders.models import Cart, CartLine, Order
from shop.catalogue.models import Product
from tests.orders.conftest import ADDRESS, make_promotion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]


@pytest.fixture
def visitor(client: Client, products: None) -> Client:
    """A visitor with two mugs in the cart."""
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})
    return client


def send(client: Client, **changes: Any) -> Any:
    form = {"email": "ada@example.org", "payment_token": "tok_ok", "idempotency_key": str(uuid4()), **ADDRESS}
    return client.post("/checkout/", {**form, "country": "DE", **changes})


def test_shipping_tax_and_total_are_shown_before_ordering(visitor: Client) -> None:
    html = send(visitor, update="1").content.decode()
    assert "€4.90" in html
    assert "€4.77" in html, "the tax in 29.90"
    assert 'name="expected_total" value="2990"' in html
    assert not Order.objects.exists()


def test_a_code_is_shown_with_its_discount_and_then_used(visitor: Client) -> None:
    make_promotion("SPRING", uses=1, kind="amount", value=500)
    html = send(visitor, update="1", promotion_code="spring").content.decode()
    assert "\N{MINUS SIGN}€5.00" in html
    assert 'name="expected_total" value="2490"' in html
    assert send(visitor, promotion_code="spring", expected_total="2490").status_code == 302
    assert (Order.objects.get().discount, Order.objects.get().total) == (500, 2490)


def test_an_unusable_code_has_an_error_next_to_it_and_no_order_is_placed(visitor: Client) -> None:
    assert "There is no code NOPE." in send(visitor, update="1", promotion_code="NOPE").content.decode()
    answer = send(visitor, promotion_code="NOPE", expected_total="2990")
    assert answer.status_code == 409
    assert 'id="error-promotion_code"' in answer.content.decode()
    assert not Order.objects.exists()
    assert CartLine.objects.get().quantity == 2


def test_a_changed_price_is_shown_and_accepted_by_a_second_send(visitor: Client) -> None:
    Product.objects.filter(sku="MUG").update(price=1500)
    assert "the price was €12.50 when you added it" in visitor.get("/cart/").content.decode()
    key = str(uuid4())
    answer = send(visitor, idempotency_key=key, expected_total="2990")
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "The total is now €34.90. You have not ordered yet" in html
    assert 'name="expected_total" value="3490"' in html
    assert not Order.objects.exists()
    assert send(visitor, idempotency_key=key, expected_total="3490").status_code == 302
    assert Order.objects.get().total == 3490


def test_an_order_over_the_cap_shows_an_error(visitor: Client) -> None:
    Product.objects.filter(sku="MUG").update(most_per_customer=1)
    answer = send(visitor, expected_total="2990")
    assert answer.status_code == 409
    assert "We sell at most 1 of Mug to each customer." in answer.content.decode()
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_concurrent_clicks_are_both_kept(visitor: Client) -> None:
    cookie = visitor.cookies["sessionid"].value

    def click(sku: str) -> None:
        clicker = Client()
        clicker.cookies["sessionid"] = cookie
        clicker.post("/cart/add/", {"sku": sku})
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(click, ["MUG", "LAMP"] * 8))
    assert dict(CartLine.objects.values_list("sku", "quantity")) == {"MUG": 10, "LAMP": 8}


def test_a_log_in_keeps_the_cart(visitor: Client) -> None:
    ada = User.objects.create(username="ada")
    visitor.force_login(ada)
    session = visitor.session
    session["cart_id"] = str(Cart.objects.get().pk)
    session.save()
    visitor.cookies["sessionid"] = session.session_key or visitor.cookies["sessionid"].value
    assert "Mug" in visitor.get("/cart/").content.decode()
    assert Cart.objects.get().customer == ada
    assert send(visitor, expected_total="2990").status_code == 302
    assert Order.objects.get().customer == ada
    assert not Cart.objects.exists()
