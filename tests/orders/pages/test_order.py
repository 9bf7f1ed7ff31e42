"""The page that shows the state of an order to its customer."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client

from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import advance_order
from orders.models import Order
from shop.contacts.models import Contact
from tests.catalogue.conftest import ADDRESS, read_key
from tests.orders.conftest import ANSWERS, CONFIRMED, PAID

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(cart: Client) -> Order:
    cart.post("/checkout/", {**ADDRESS, "idempotency_key": read_key(cart.get("/checkout/"))})
    return Order.objects.get()


def let_happen(order: Order, *happenings: Happening) -> None:
    """Apply `happenings` to the order, like the consumer and staff do."""
    for happening in happenings:
        with transaction.atomic():
            advance_order(order.pk, happening, uuid4() if happening.name in ANSWERS else None)


def read_page(client: Client, order: Order) -> str:
    html: str = client.get(f"/orders/{order.pk}/").content.decode()
    return html


def list_steps(html: str) -> list[tuple[str, str]]:
    """Return (state, name) of each step of the timeline."""
    return re.findall(r'class="step step--(\w+)".*?class="step__name">([^<]+)<', html, re.S)


def find_poll(html: str) -> tuple[str, str] | None:
    """Return the URL and the seconds between two polls of the page without a stream, or None if it does not poll."""
    found = re.search(r'hx-get="(/orders/[^"]+/progress/[^"]*)" hx-trigger="live"[^>]* data-poll="(\d+)"', html)
    return (found[1], found[2]) if found else None


def test_a_placed_order_is_polled_every_two_seconds_and_refreshed_without_javascript(
    cart: Client, order: Order
) -> None:
    html = read_page(cart, order)
    assert order.number in html
    assert "We have your order" in html
    assert list_steps(html) == [
        ("now", "Order received"),
        ("todo", "Confirmed"),
        ("todo", "Shipped"),
        ("todo", "Delivered"),
    ]
    poll = find_poll(html)
    assert poll
    assert poll[1] == "2"
    assert '<noscript><meta http-equiv="refresh"' in html
    assert f'hx-get="/messages/{order.pk}/"' in html
    assert "€417.00" in html
    assert "Strandgata 12" in html


def test_the_poll_gets_204_while_nothing_changes(cart: Client, order: Order) -> None:
    poll = find_poll(read_page(cart, order))
    assert poll
    assert cart.get(poll[0]).status_code == 204
    let_happen(order, Happening.STOCK_RESERVED)
    answer = cart.get(poll[0])
    assert answer.status_code == 200
    at = order.history.get(event="StockReserved").at
    assert f'Your products are reserved <time class="soft" datetime="{at.isoformat()}">' in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_a_confirmed_order_is_polled_slowly(cart: Client, order: Order) -> None:
    let_happen(order, *CONFIRMED)
    html = read_page(cart, order)
    assert "Your order is confirmed" in html
    assert list_steps(html)[:2] == [("done", "Order received"), ("done", "Confirmed")]
    poll = find_poll(html)
    assert poll
    assert poll[1] == "15"


def test_a_delivered_order_is_not_polled(cart: Client, order: Order) -> None:
    let_happen(order, *PAID, Happening.MARKED_SHIPPED)
    assert "on its way" in read_page(cart, order)
    let_happen(order, Happening.MARKED_DELIVERED)
    html = read_page(cart, order)
    assert [state for state, _ in list_steps(html)] == ["done"] * 4
    assert find_poll(html) is None
    assert 'http-equiv="refresh"' not in html


@pytest.mark.parametrize(
    ("happening", "words"),
    [
        (Happening.STOCK_REJECTED, "sold out before we could reserve it"),
        (Happening.PAYMENT_DECLINED, "Your bank declined the payment"),
        (Happening.CANCEL_REQUESTED, "You cancelled this order"),
        (Happening.CANCELLED_BY_STAFF, "We had to cancel this order"),
        (Happening.DEADLINE_PASSED, "could not complete this order in time"),
    ],
)
def test_the_page_explains_why_an_order_was_cancelled(
    cart: Client, order: Order, happening: Happening, words: str
) -> None:
    let_happen(order, happening)
    html = read_page(cart, order)
    assert "Your order was cancelled" in html
    assert words in html
    assert list_steps(html) == [("done", "Order received"), ("failed", "Cancelled")]
    poll = find_poll(html)
    assert (poll is None) == (
        happening == Happening.PAYMENT_DECLINED
    )  # in the other cases the bank's answer is pending


@pytest.mark.parametrize(
    ("happenings", "words", "polls"),
    [
        ((*CONFIRMED, Happening.CANCEL_REQUESTED), "is releasing the amount that it reserved", True),
        ((*PAID, Happening.CANCEL_REQUESTED), "We are refunding your payment", True),
        ((*PAID, Happening.CANCEL_REQUESTED, Happening.PAYMENT_REFUNDED), "We refunded your payment", False),
        ((Happening.CANCELLED_BY_STAFF, Happening.PAYMENT_VOIDED), "You were not charged", False),
    ],
)
def test_the_page_of_a_cancelled_order_explains_the_payment(
    cart: Client, order: Order, happenings: tuple[Happening, ...], words: str, polls: bool
) -> None:
    let_happen(order, *happenings)
    html = read_page(cart, order)
    assert words in html
    assert (find_poll(html) is not None) == polls


@pytest.mark.parametrize(
    ("happenings", "words"),
    [
        ((), "We will not send this order. We refunded your payment"),
        ((Happening.CANCELLED_BY_STAFF,), "will not send it. We are sorry. We refunded your payment"),
    ],
)
def test_the_page_of_a_refunded_order_says_so(
    cart: Client, order: Order, happenings: tuple[Happening, ...], words: str
) -> None:
    let_happen(order, *PAID, Happening.PAYMENT_PARTLY_REFUNDED)
    assert "given back" not in read_page(cart, order)
    let_happen(order, Happening.PAYMENT_REFUNDED, *happenings)
    assert words in read_page(cart, order)


def test_the_page_says_that_the_payment_failed_until_it_is_taken(cart: Client, order: Order) -> None:
    let_happen(order, *CONFIRMED, Happening.PAYMENT_FAILED)
    html = read_page(cart, order)
    assert "we could not take your payment, and you were not charged" in html
    assert "the payment is approved" not in html
    assert '<li class="check check--failed">We could not take the payment <time' in html
    assert find_poll(html), "the page must show the next state"
    let_happen(order, Happening.PAYMENT_CAPTURED)
    assert "Payment taken" in read_page(cart, order)


def test_the_page_of_a_cancelled_order_explains_a_failed_payment(cart: Client, order: Order) -> None:
    let_happen(order, *CONFIRMED, Happening.PAYMENT_FAILED, Happening.CANCELLED_BY_STAFF)
    assert "You were not charged. Your bank is releasing the amount" in read_page(cart, order)
    let_happen(order, Happening.PAYMENT_VOIDED)
    assert "We are sorry. You were not charged." in read_page(cart, order)


def test_a_customer_cancels_a_placed_order(cart: Client, order: Order) -> None:
    answer: Any = cart.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert "You cancelled this order" in answer.content.decode()
    order.refresh_from_db()
    assert (order.status, order.reason) == ("cancelled", "cancelled_on_request")


def test_another_visitor_can_not_cancel(cart: Client, order: Order) -> None:
    assert Client().post(f"/orders/{order.pk}/cancel/").status_code == 404
    order.refresh_from_db()
    assert order.status == "placed"


def test_a_shipped_order_can_not_be_cancelled_and_the_page_says_so(cart: Client, order: Order) -> None:
    let_happen(order, *PAID, Happening.MARKED_SHIPPED)
    answer: Any = cart.post(f"/orders/{order.pk}/cancel/", follow=True)
    assert "already shipped" in answer.content.decode()
    order.refresh_from_db()
    assert order.status == "shipped"


def test_the_page_works_after_the_contact_was_erased(cart: Client, order: Order) -> None:
    Contact.objects.all().delete()
    html = read_page(cart, order)
    assert order.number in html
    assert "Strandgata" not in html


def test_pages_with_personal_data_are_never_cached(cart: Client, order: Order) -> None:
    for address in (f"/orders/{order.pk}/", f"/orders/{order.pk}/progress/", "/cart/"):
        assert "no-store" in cart.get(address)["Cache-Control"]
