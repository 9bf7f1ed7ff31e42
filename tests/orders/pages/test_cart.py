"""The pages of the cart. The cookie has only the cart's id; prices come from the catalogue."""

from hashlib import sha256
from typing import Any

import pytest
from django.test import Client

from orders.cart.storage import MOST_LINES
from orders.models import CartLine
from relay.models import Outbox
from shop.catalogue.models import Product
from shop.events import CartChanged
from tests.catalogue.conftest import make_product

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def read(answer: Any) -> str:
    """Return the HTML of the response."""
    assert answer.status_code == 200, answer.status_code
    html: str = answer.content.decode()
    return html


def held(client: Client) -> dict[str, int]:
    """Return the quantities in the cart by SKU."""
    cart_id = client.session.get("cart_id", "00000000-0000-0000-0000-000000000000")
    return dict(CartLine.objects.filter(cart_id=cart_id).values_list("sku", "quantity"))


def test_an_empty_cart_links_to_the_shop(client: Client) -> None:
    assert "Your cart is empty" in read(client.get("/cart/"))


def test_adding_twice_adds_up_and_shows_totals(client: Client, mug: Product, tent: Product) -> None:
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})
    client.post("/cart/add/", {"sku": "TENT"})
    html = read(client.post("/cart/add/", {"sku": "MUG", "quantity": 1}, follow=True))
    assert held(client) == {"MUG": 3, "TENT": 1}
    assert "Enamel Mug is in your cart." in html
    assert "€42.00" in html
    assert "€431.00" in html
    assert 'id="cart-count">4<' in html


def test_prices_are_always_current(cart: Client) -> None:
    Product.objects.filter(sku="TENT").update(price=100)
    assert "€29.00" in read(cart.get("/cart/"))


def test_htmx_gets_only_the_message_and_the_new_count(client: Client, mug: Product) -> None:
    html = read(client.post("/cart/add/", {"sku": "MUG", "quantity": 2}, headers=HTMX))
    assert "Enamel Mug to your cart." in html
    assert 'id="cart-count" hx-swap-oob="true">2<' in html
    assert "<html" not in html


def test_a_line_can_be_changed_and_removed(cart: Client) -> None:
    cart.post("/cart/lines/MUG/", {"quantity": "5"})
    assert held(cart) == {"MUG": 5, "TENT": 1}
    html = read(cart.post("/cart/lines/TENT/", {"quantity": "0"}, headers=HTMX))
    assert held(cart) == {"MUG": 5}
    assert 'href="/p/TENT/"' not in html
    assert 'href="/p/MUG/"' in html
    assert "€70.00" in html
    assert 'hx-swap-oob="true">5<' in html


@pytest.mark.parametrize("quantity", ["", "two", "1.5", "-1", "1e3", "٣", "9" * 400, "\0"])
def test_an_invalid_quantity_changes_nothing_and_is_reported(cart: Client, quantity: str) -> None:
    html = read(cart.post("/cart/lines/MUG/", {"quantity": quantity}, follow=True))
    assert "Enter a quantity from 1 to 999" in html
    read(cart.post("/cart/add/", {"sku": "MUG", "quantity": quantity}, follow=True))
    assert held(cart) == {"MUG": 2, "TENT": 1}


def test_adding_0_pieces_is_reported(client: Client, mug: Product) -> None:
    assert "Enter a quantity" in read(client.post("/cart/add/", {"sku": "MUG", "quantity": "0"}, headers=HTMX))
    assert held(client) == {}


def test_more_than_999_becomes_999_and_is_reported(cart: Client) -> None:
    html = read(cart.post("/cart/add/", {"sku": "MUG", "quantity": "998"}, follow=True))
    assert held(cart)["MUG"] == 999
    assert "We changed the quantity to 999" in html
    assert "We changed" in read(cart.post("/cart/lines/MUG/", {"quantity": "1000"}, headers=HTMX))


@pytest.mark.parametrize("sku", ["NONE", "", "\0", "mug"])
def test_an_unknown_product_is_not_added(client: Client, mug: Product, sku: str) -> None:
    assert client.post("/cart/add/", {"sku": sku}).status_code == 404
    assert held(client) == {}


def test_changing_a_missing_line_does_not_create_it(client: Client, mug: Product) -> None:
    client.post("/cart/lines/MUG/", {"quantity": "3"})
    assert held(client) == {}


def test_the_cart_drops_products_that_are_no_longer_sold_with_a_message(cart: Client) -> None:
    Product.objects.filter(sku="TENT").update(is_active=False)
    assert "no longer sell" in read(cart.get("/cart/"))
    assert held(cart) == {"MUG": 2}
    assert "no longer sell" not in read(cart.get("/cart/"))


def test_a_full_cart_refuses_a_51st_product_and_the_cookie_has_only_its_id(client: Client, db: None) -> None:
    longest = [sha256(str(n).encode()).hexdigest()[:32].upper() for n in range(MOST_LINES + 1)]
    for sku in longest:
        make_product(sku, "A thing", 100, "Kitchen")
    for sku in longest[:MOST_LINES]:
        client.post("/cart/add/", {"sku": sku, "quantity": 999})
    assert set(client.session.keys()) == {"cart_id", "visitor"}
    assert len(client.cookies["sessionid"].value) < 400
    html = read(client.post("/cart/add/", {"sku": longest[-1]}, follow=True))
    assert "at most 50 different products" in html
    assert len(held(client)) == MOST_LINES


def test_the_cart_changes_only_by_post(client: Client, mug: Product) -> None:
    assert client.get("/cart/add/?sku=MUG").status_code == 405
    assert client.get("/cart/lines/MUG/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/cart/add/", {"sku": "MUG"}).status_code == 403


def test_every_change_publishes_the_new_quantity(cart: Client) -> None:
    Outbox.objects.all().delete()
    cart.post("/cart/lines/MUG/", {"quantity": "5"})
    cart.post("/cart/lines/MUG/", {"quantity": "5"})
    cart.post("/cart/lines/TENT/", {"quantity": "0"})
    events = [CartChanged.decode(row.body) for row in Outbox.objects.order_by("position")]
    assert [(event.sku, event.quantity) for event in events] == [("MUG", 5), ("TENT", 0)]


def test_the_cart_changes_even_if_the_activity_can_not_be_recorded(
    client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(event: CartChanged) -> None:
        raise RuntimeError("no outbox")

    monkeypatch.setattr("shop.activity.recording.publish_alone", fail)
    client.post("/cart/add/", {"sku": "MUG", "quantity": 2})
    assert held(client) == {"MUG": 2}
