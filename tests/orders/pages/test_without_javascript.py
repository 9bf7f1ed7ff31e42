"""The pages of cart, checkout and order in a browser without JavaScript."""

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
    """Return valid values for the checkout form, with the page's idempotency key."""
    page = client.get("/checkout/").content.decode()
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page)
    assert found
    about = {"email": "ada@example.org", "phone": "", "payment_token": "tok_ok", "idempotency_key": found[1]}
    return {**ADDRESS, **about, **changes}


def test_products_can_be_added_changed_and_removed(client: Client) -> None:
    put_into_cart(client, "LAMP", 2)
    put_into_cart(client, "LAMP", 1)
    put_into_cart(client, "MUG", 5)
    assert read_cart(client) == {"LAMP": 3, "MUG": 5}
    client.post("/cart/lines/MUG/", {"quantity": "2"})
    client.post("/cart/lines/LAMP/", {"quantity": "0"})
    assert read_cart(client) == {"MUG": 2}
    assert client.get("/cart/").context["cart"].total == 2500


@pytest.mark.parametrize("quantity", ["0", "-1", "", "many", "1.5", "٣", "9" * 40])
def test_an_invalid_quantity_is_refused_with_a_message(client: Client, quantity: str) -> None:
    answer = put_into_cart(client, "LAMP", quantity)
    assert "Enter a quantity" in answer.content.decode()
    assert read_cart(client) == {}


def test_a_cart_holds_at_most_999_pieces_of_a_product(client: Client) -> None:
    assert "999" in put_into_cart(client, "LAMP", 2000).content.decode()
    assert read_cart(client) == {"LAMP": 999}


@pytest.mark.parametrize("sku", ["NONE", "CHAIR", "", "LA\0MP"])
def test_an_unsold_product_can_not_be_added(client: Client, sku: str) -> None:
    assert put_into_cart(client, sku).status_code == 404 or sku == "LA\0MP"  # read as LAMP
    assert read_cart(client) in ({}, {"LAMP": 1})


def test_a_product_that_is_no_longer_sold_is_removed_with_a_message(client: Client) -> None:
    put_into_cart(client, "LAMP")
    put_into_cart(client, "MUG")
    Product.objects.filter(sku="LAMP").update(is_active=False)
    assert "no longer sell" in client.get("/cart/").content.decode()
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
    client.cookies["sessionid"] = cart  # a second click, before the response to the first one
    second = client.post("/checkout/", form)
    again = client.post("/checkout/", form)  # "back" in the browser, with an empty cart
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
def test_an_error_is_next_to_its_field_and_the_form_keeps_its_values(client: Client, field: str, value: str) -> None:
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


def test_an_order_is_shown_to_its_customer_and_with_its_token(client: Client, place: PlaceOrder) -> None:
    order = place()
    address = f"/orders/{order.pk}/"
    assert client.get(address).status_code == 404
    assert client.get(address, {"token": sign_order(uuid4())}).status_code == 404
    assert client.post(f"{address}cancel/").status_code == 404
    answer = client.get(address, {"token": sign_order(order.pk)})
    assert answer["Location"] == address  # without the token
    page = client.get(address)
    assert order.number in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert client.get(f"/orders/{uuid4()}/").status_code == 404


def see(client: Client, order: Order) -> str:
    client.get(f"/orders/{order.pk}/", {"token": sign_order(order.pk)})
    return client.get(f"/orders/{order.pk}/").content.decode()


def test_the_poll_returns_only_changes(client: Client, place: PlaceOrder) -> None:
    order = place()
    see(client, order)
    progress = f"/orders/{order.pk}/progress/"
    version = client.get(progress).context["progress"].version
    assert client.get(progress, {"seen": version}).status_code == 204
    Order.objects.filter(pk=order.pk).update(stock="reserved")
    assert client.get(progress, {"seen": version}).status_code == 200


def test_a_customer_can_cancel_a_placed_order(client: Client, place: PlaceOrder) -> None:
    order = place()
    assert "Cancel this order" in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "cancelled" in page
    assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    assert "Cancel this order" not in page


def test_a_customer_can_cancel_a_confirmed_order_and_is_refunded(client: Client, place: PlaceOrder) -> None:
    order = place(*PAID)
    assert "we will refund your payment" in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "We are refunding your payment" in page
    assert name_events(order)[-1] == "OrderCancelled"


def test_a_customer_can_not_cancel_a_shipped_order(client: Client, place: PlaceOrder) -> None:
    order = place(*PAID, Happening.MARKED_SHIPPED)
    assert "Cancel this order" not in see(client, order)
    page = client.post(f"/orders/{order.pk}/cancel/", follow=True).content.decode()
    assert "already shipped" in page
    assert "OrderCancelled" not in name_events(order)


def test_a_cancelled_order_shows_the_reason(client: Client, place: PlaceOrder) -> None:
    assert "declined" in see(client, place(Happening.PAYMENT_DECLINED))
    assert "sold out" in see(client, place(Happening.STOCK_REJECTED))


def test_ids_in_addresses_are_uuids(client: Client) -> None:
    for wrong in ("1", "x" * 36, str(UUID(int=0))):
        assert client.get(f"/orders/{wrong}/").status_code == 404
