"""Cart, checkout and order pages, as a browser without JavaScript uses them."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from orders.lifecycle.saga import Happening
from orders.models import Order
from relay.models import Outbox
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.web.order_access import sign_order
from tests.orders.conftest import ADDRESS, PAID, PlaceOrder, name_events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]


def put_into_cart(client: Client, sku: str = "LAMP", quantity: object = 1) -> Any:
    return client.post("/cart/add/", {"sku": sku, "quantity": quantity}, follow=True)


def read_cart(client: Client) -> dict[str, int]:
    return {line.product.sku: line.quantity for line in client.get("/cart/").context["cart"].lines}


def fill_in(client: Client, **changes: str) -> dict[str, str]:
    """The checkout's form with the key that the page carries, filled in."""
    page = client.get("/checkout/").content.decode()
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page)
    assert found
    about = {"email": "ada@example.org", "phone": "", "payment_token": "tok_ok", "idempotency_key": found[1]}
    return {**ADDRESS, **about, **changes}


def test_things_are_put_into_the_cart_changed_and_taken_out(client: Client) -> None:
    put_into_cart(client, "LAMP", 2)
    put_into_cart(client, "LAMP", 1)
    put_into_cart(client, "MUG", 5)
    assert read_cart(client) == {"LAMP": 3, "MUG": 5}
    client.post("/cart/lines/MUG/", {"quantity": "2"})
    client.post("/cart/lines/LAMP/", {"quantity": "0"})
    assert read_cart(client) == {"MUG": 2}
    assert client.get("/cart/").context["cart"].total == 2500


@pytest.mark.parametrize("quantity", ["0", "-1", "", "many", "1.5", "٣", "9" * 40])
def test_a_quantity_that_is_none_is_refused_with_words(client: Client, quantity: str) -> None:
    answer = put_into_cart(client, "LAMP", quantity)
    assert "Give a quantity" in answer.content.decode()
    assert read_cart(client) == {}


def test_a_cart_holds_at_most_what_an_order_may(client: Client) -> None:
    assert "999" in put_into_cart(client, "LAMP", 2000).content.decode()
    assert read_cart(client) == {"LAMP": 999}


@pytest.mark.parametrize("sku", ["NONE", "CHAIR", "", "LA\0MP"])
def test_what_is_not_sold_can_not_be_put_into_the_cart(client: Client, sku: str) -> None:
    assert put_into_cart(client, sku).status_code == 404 or sku == "LA\0MP"  # which is LAMP
    assert read_cart(client) in ({}, {"LAMP": 1})


def test_what_is_no_longer_sold_leaves_the_cart_with_words(client: Client) -> None:
    put_into_cart(client, "LAMP")
    put_into_cart(client, "MUG")
    Product.objects.filter(sku="LAMP").update(is_active=False)
    assert "no longer sold" in client.get("/cart/").content.decode()
    assert read_cart(client) == {"MUG": 1}


def test_the_checkout_places_the_order_and_shows_it(client: Client) -> None:
    put_into_cart(client, "LAMP", 2)
    answer = client.post("/checkout/", fill_in(client, phone="+44 20 7946 0018"), follow=True)
    order = Order.objects.get()
    assert answer.redirect_chain == [(f"/orders/{order.pk}/", 302)]
    assert order.number in answer.content.decode()
    assert (order.total, order.lines.get().quantity) == (9980, 2)
    assert Contact.objects.get().name == "Ada Lovelace"
    assert name_events(order) == ["OrderPlaced"]
    assert read_cart(client) == {}


def test_sending_the_form_twice_places_one_order(client: Client) -> None:
    put_into_cart(client)
    form = fill_in(client)
    cart = client.cookies["sessionid"].value
    first = client.post("/checkout/", form)
    client.cookies["sessionid"] = cart  # the second click left before the first one's answer came
    second = client.post("/checkout/", form)
    again = client.post("/checkout/", form)  # and this is "back", with an empty cart
    assert first["Location"] == second["Location"] == again["Location"]
    assert Order.objects.count() == 1


def test_sending_the_form_again_with_another_cart_asks_first(client: Client) -> None:
    put_into_cart(client)
    form = fill_in(client)
    client.post("/checkout/", form)
    put_into_cart(client, "MUG")
    answer = client.post("/checkout/", form)
    assert answer.status_code == 409
    assert form["idempotency_key"] not in answer.content.decode()
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nobody"),
        ("email", ""),
        ("name", ""),
        ("postal_code", "1" * 17),
        ("country", "??"),
        ("phone", "call me"),
        ("payment_token", ""),
        ("city", "Lon\ndon"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_nothing_is_lost(client: Client, field: str, value: str) -> None:
    put_into_cart(client)
    form = fill_in(client, **{field: value})
    answer = client.post("/checkout/", form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert f'id="error-{field}"' in answer.content.decode()
    assert form["idempotency_key"] in answer.content.decode()
    assert (Order.objects.count(), Outbox.objects.filter(topic="shop.orders").count()) == (0, 0)
    assert read_cart(client) == {"LAMP": 1}


@pytest.mark.parametrize("key", ["", "not-a-key", "\0"])
def test_a_form_without_its_key_is_refused(client: Client, key: str) -> None:
    put_into_cart(client)
    assert client.post("/checkout/", fill_in(client, idempotency_key=key)).status_code == 422
    assert Order.objects.count() == 0


def test_an_order_is_shown_to_who_placed_it_or_has_its_token(client: Client, place: PlaceOrder) -> None:
    order = place()
    address = f"/orders/{order.pk}/"
    assert client.get(address).status_code == 404
    assert client.get(address, {"token": sign_order(uuid4())}).status_code == 404
    assert client.post(f"{address}cancel/").status_code == 404
    answer = client.get(address, {"token": sign_order(order.pk)})
    assert answer["Location"] == address  # the token leaves the address
    page = client.get(address)
    assert order.number in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert client.get(f"/orders/{uuid4()}/").status_code == 404


def see(client: Client, order: Order) -> str:
    client.get(f"/orders/{order.pk}/", {"token": sign_order(order.pk)})
    return client.get(f"/orders/{order.pk}/").content.decode()


def test_the_page_asks_again_only_for_what_has_changed(client: Client, place: PlaceOrder) -> None:
    order = place()
    see(client, order)
    progress = f"/orders/{order.pk}/progress/"
    version = client.get(progress).context["progress"].version
    assert client.get(progress, {"seen": version}).status_code == 204
    Order.objects.filter(pk=order.pk).update(stock="reserved")
    assert client.get(progress, {"seen": version}).status_code == 200


def test_an_order_that_waits_can_be_cancelled_by_its_customer(client: Client, place: PlaceOrder) -> None:
    order = place()
    assert "Cancel this order" in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "cancelled" in page
    assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    assert "Cancel this order" not in page


def test_a_confirmed_order_can_too_and_the_page_says_that_the_money_comes_back(
    client: Client, place: PlaceOrder
) -> None:
    order = place(*PAID)
    assert "what you paid goes back to you" in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "is being given back to you" in page
    assert name_events(order)[-1] == "OrderCancelled"


def test_a_shipped_order_can_not_and_says_so(client: Client, place: PlaceOrder) -> None:
    order = place(*PAID, Happening.MARKED_SHIPPED)
    assert "Cancel this order" not in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "can no longer be cancelled" in page
    assert "OrderCancelled" not in name_events(order)


def test_a_cancelled_order_says_why(client: Client, place: PlaceOrder) -> None:
    assert "declined" in see(client, place(Happening.PAYMENT_DECLINED))
    assert "sold out" in see(client, place(Happening.STOCK_REJECTED))


def test_ids_in_addresses_are_uuids(client: Client) -> None:
    for wrong in ("1", "x" * 36, str(UUID(int=0))):
        assert client.get(f"/orders/{wrong}/").status_code == 404
