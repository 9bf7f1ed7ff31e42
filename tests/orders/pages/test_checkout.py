"""The checkout page. A form that is sent several times places one order."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from orders.models import CartLine, Order
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.web.order_access import sign_order
from tests.catalogue.conftest import ADDRESS, make_product, read_key

pytestmark = pytest.mark.django_db


def send(client: Client, key: str, **changes: str) -> Any:
    """Send the checkout form with idempotency key `key`."""
    return client.post("/checkout/", {**ADDRESS, "idempotency_key": key, **changes})


def test_a_sent_form_places_an_order_and_empties_the_cart(cart: Client) -> None:
    form = cart.get("/checkout/")
    answer = send(cart, read_key(form), phone="+47 912 34 567", line2="c/o Lind")
    order = Order.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/orders/{order.pk}/"
    assert order.total == 2 * 1400 + 38900
    assert sorted(order.lines.values_list("sku", "quantity")) == [("MUG", 2), ("TENT", 1)]
    contact = Contact.objects.get(pk=order.contact_id)
    assert (contact.name, contact.phone, contact.line2) == ("Kari Nordmann", "+47 912 34 567", "c/o Lind")
    assert cart.session.get("cart") is None
    assert order.number in cart.get(answer["Location"]).content.decode()


def test_the_form_shows_what_will_be_ordered_and_how_to_pay(cart: Client) -> None:
    html = cart.get("/checkout/").content.decode()
    assert "€417.00" in html
    for token in ("tok_ok", "tok_declined", "tok_slow"):
        assert f'value="{token}"' in html


def test_every_form_has_its_own_key(cart: Client) -> None:
    assert read_key(cart.get("/checkout/")) != read_key(cart.get("/checkout/"))


def test_an_empty_cart_has_no_checkout(client: Client) -> None:
    answer = client.get("/checkout/")
    assert answer.status_code == 302
    assert answer["Location"] == "/cart/"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("email", "", "E-mail is missing."),
        ("email", "kari@", "Enter a valid email address."),
        ("phone", "call me", "at least 5 digits"),
        ("name", "", "Full name is missing."),
        ("name", "x" * 121, "no more than 120 characters"),
        ("name", "Ka\0ri", "Null characters are not allowed."),
        ("line1", "   ", "Street and number is missing."),
        ("postal_code", "", "Postal code is missing."),
        ("city", "", "City is missing."),
        ("country", "", "Country is missing."),
        ("country", "norway", "two capital letters"),
        ("payment_token", "", "Payment is missing."),
        ("payment_token", "a b", "gateway"),
    ],
)
def test_a_wrong_field_has_an_error_next_to_it_and_no_order_is_placed(
    cart: Client, field: str, value: str, words: str
) -> None:
    key = read_key(cart.get("/checkout/"))
    answer = send(cart, key, **{field: value})
    html = answer.content.decode()
    assert answer.status_code == 422
    (error,) = html.split('class="field__error"')[1:]
    assert f'id="error-{field}"' in error.partition(">")[0]
    assert words in error.partition("<")[0]
    assert not Order.objects.exists()
    assert dict(CartLine.objects.values_list("sku", "quantity")) == {"MUG": 2, "TENT": 1}
    assert read_key(answer) == key, "a form that placed nothing keeps its key"


def test_the_form_keeps_the_typed_values(cart: Client) -> None:
    html = send(cart, str(uuid4()), email="kari@", city="Tromsø").content.decode()
    assert 'value="kari@"' in html
    assert 'value="Tromsø"' in html


@pytest.mark.parametrize("key", ["", "nonsense", "\0", "k" * 300])
def test_a_damaged_key_is_reported_and_places_no_order(cart: Client, key: str) -> None:
    answer = send(cart, key)
    assert answer.status_code == 422
    assert "form arrived incomplete" in answer.content.decode()
    assert not Order.objects.exists()


def test_a_form_sent_again_leads_to_the_same_order(cart: Client) -> None:
    key = read_key(cart.get("/checkout/"))
    cookie = cart.cookies["sessionid"].value
    first = send(cart, key)
    cart.cookies["sessionid"] = cookie  # a second click, before the response to the first one
    second = send(cart, key)
    third = send(cart, key)  # "back" in the browser, with an empty cart
    assert first["Location"] == second["Location"] == third["Location"]
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_moment_place_one_order() -> None:
    make_product("MUG", "Enamel Mug", 1400, "Kitchen")
    client = Client()
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})
    key = read_key(client.get("/checkout/"))
    cookie = client.cookies["sessionid"].value

    def click(_: int) -> str:
        clicker = Client()
        clicker.cookies["sessionid"] = cookie
        try:
            return str(send(clicker, key)["Location"])
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        places = set(pool.map(click, range(6)))
    assert Order.objects.count() == 1
    assert places == {f"/orders/{Order.objects.get().pk}/"}


def test_a_used_form_with_another_cart_asks_before_it_orders_again(cart: Client) -> None:
    key = read_key(cart.get("/checkout/"))
    send(cart, key)
    cart.post("/cart/add/", {"sku": "MUG"})
    answer = send(cart, key)
    assert answer.status_code == 409
    assert "You have already ordered with this form" in answer.content.decode()
    assert Order.objects.count() == 1
    assert send(cart, read_key(answer)).status_code == 302
    assert Order.objects.count() == 2


def test_a_key_of_another_visitor_gives_no_access(cart: Client) -> None:
    key = read_key(cart.get("/checkout/"))
    send(cart, key)
    assert send(Client(), key)["Location"] == "/cart/"


def test_products_that_are_no_longer_sold_are_removed_before_the_order(cart: Client) -> None:
    key = read_key(cart.get("/checkout/"))
    Product.objects.update(is_active=False)
    assert send(cart, key)["Location"] == "/cart/"
    assert not Order.objects.exists()


def test_an_order_is_visible_to_its_customer_and_with_its_token(cart: Client) -> None:
    address = send(cart, read_key(cart.get("/checkout/")))["Location"]
    order = Order.objects.get()
    stranger = Client()
    assert stranger.get(address).status_code == 404
    assert stranger.get(f"{address}progress/").status_code == 404
    assert stranger.get(f"{address}?token=wrong").status_code == 404
    assert stranger.get(f"/orders/{uuid4()}/").status_code == 404
    welcome = stranger.get(f"{address}?token={sign_order(order.pk)}")
    assert welcome["Location"] == address, "the token leaves the address"
    assert stranger.get(address).status_code == 200
