"""Cancellation over the API: by the owner or with the order's token, until the order is shipped."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIRequestFactory, force_authenticate

from orders.api.cancellation import CancelOrder
from orders.lifecycle.cancellation import TooLateToCancel, cancel_order
from orders.lifecycle.saga import Happening
from orders.models import Order
from relay.models import Outbox
from shop.web.order_access import sign_order
from tests.orders.conftest import CONFIRMED, PAID, Api, PlaceOrder, name_events

pytestmark = pytest.mark.django_db
H = Happening


def ask(client: Client, order: Order, body: object = None, token: str | None = None) -> Any:
    headers = {"X-Order-Token": sign_order(order.pk) if token is None else token}
    return client.post(
        f"/api/v1/orders/{order.pk}/cancel/", body or {}, content_type="application/json", headers=headers
    )


@pytest.mark.parametrize("moment", [(), (H.STOCK_RESERVED,), (H.PAYMENT_AUTHORIZED,), CONFIRMED, PAID])
def test_an_order_can_be_cancelled_until_it_is_shipped(
    client: Client, place: PlaceOrder, moment: tuple[Happening, ...]
) -> None:
    order = place(*moment)
    answer = ask(client, order)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["reason"] == "cancelled_on_request"
    assert name_events(order)[-1] == "OrderCancelled"
    assert order.history.get(event="CancelRequested").by == "customer"


def test_a_repeated_cancellation_changes_nothing_and_gets_the_same_response(client: Client, place: PlaceOrder) -> None:
    order = place()
    first, second = ask(client, order), ask(client, order)
    assert first.json() == second.json()
    assert name_events(order) == ["OrderPlaced", "OrderCancelled"]
    assert order.history.count() == 2


@pytest.mark.parametrize("further", [(H.MARKED_SHIPPED,), (H.MARKED_SHIPPED, H.MARKED_DELIVERED)])
def test_a_shipped_order_is_a_conflict(client: Client, place: PlaceOrder, further: tuple[Happening, ...]) -> None:
    order = place(*PAID, *further)
    answer = ask(client, order)
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert "shipped" in answer.json()["detail"]
    assert "OrderCancelled" not in name_events(order)


def test_without_its_token_an_order_is_not_found(client: Client, place: PlaceOrder) -> None:
    order, other = place(), place()
    for token in ("", "wrong", sign_order(other.pk)):
        answer = ask(client, order, token=token)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert Order.objects.get(pk=order.pk).status == "placed"


def test_the_owner_needs_no_token_and_others_get_404(place: PlaceOrder) -> None:
    ada, eve = (User.objects.create_user(name) for name in ("ada", "eve"))
    order = place()
    Order.objects.filter(pk=order.pk).update(customer=ada)
    for user, status in [(eve, 404), (ada, 200)]:
        request = APIRequestFactory().post("/", {}, format="json")
        force_authenticate(request, user)
        assert CancelOrder.as_view()(request, order_id=order.pk).status_code == status


def test_the_history_has_the_reason_and_no_event_has_it(client: Client, place: PlaceOrder) -> None:
    order = place()
    ask(client, order, {"reason": "Ada Lovelace has two of them"})
    assert order.history.get(event="CancelRequested").note == "Ada Lovelace has two of them"
    assert not Outbox.objects.filter(body__contains="Lovelace").exists()


@pytest.mark.parametrize(
    "body",
    [{"why": "x"}, {"reason": "x" * 201}, {"reason": "two\nlines"}, {"reason": "\n"}, {"reason": 0}, {"reason": None}],
)
def test_bad_input_is_named_and_cancels_nothing(api: Api, client: Client, place: PlaceOrder, body: object) -> None:
    order = place()
    answer = ask(client, order, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] in ("why", "reason")
    assert Order.objects.get(pk=order.pk).status == "placed"


def test_cancel_order_raises_too_late_to_cancel(place: PlaceOrder) -> None:
    with pytest.raises(TooLateToCancel, match="shipped"):
        cancel_order(place(*PAID, H.MARKED_SHIPPED).pk, "lost", "admin:ada")
