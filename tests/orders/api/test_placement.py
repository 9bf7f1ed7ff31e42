"""Placement and reading of orders over the API."""

import json
from uuid import uuid4

import pytest
from django.conf import settings

from orders.api.serializers import ShippingAddress
from orders.lifecycle.saga import Happening
from orders.models import IdempotencyKey, Order, Transition
from relay.models import Outbox
from shop.catalogue.models import Product
from shop.contacts.models import Contact
from shop.events import OrderedLine, OrderPlaced
from shop.vault.models import PaymentToken
from shop.web.order_access import sign_order
from tests.orders.conftest import ADDRESS, CONFIRMED, NOTHING, Api, MakeBody, PlaceOrder, count_everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]
LINES = [
    {"sku": "LAMP", "name": "Lamp", "quantity": 1, "unit_price": 4990, "line_total": 4990},
    {"sku": "MUG", "name": "Mug", "quantity": 3, "unit_price": 1250, "line_total": 3750},
]


def test_the_response_has_the_documented_fields(api: Api, make_body: MakeBody) -> None:
    answer = api.post(make_body())
    assert answer.status_code == 201
    assert answer["Content-Type"] == "application/json"
    placed = answer.json()
    order = Order.objects.get()
    assert placed == {
        "id": str(order.pk),
        "number": order.number,
        "status": "placed",
        "currency": "EUR",
        "subtotal": 8740,
        "discount": 0,
        "shipping": 0,
        "tax": 1457,
        "total": 8740,
        "lines": LINES,
        "placed_at": order.placed_at.isoformat().replace("+00:00", "Z"),
        "access_token": sign_order(order.pk),
    }
    assert answer["Location"] == f"http://testserver/api/v1/orders/{order.pk}/"
    assert type(placed["total"]) is int
    assert {type(line[name]) for line in placed["lines"] for name in ("quantity", "unit_price", "line_total")} == {int}


def test_order_contact_and_event_are_stored_together(api: Api, make_body: MakeBody) -> None:
    api.post(make_body())
    order = Order.objects.get()
    contact = Contact.objects.get()
    row = Outbox.objects.get()
    token = PaymentToken.objects.get()
    event = OrderPlaced.decode(row.body)
    assert (row.topic, row.key, row.sequence, row.type) == ("shop.orders", str(order.pk), 1, "OrderPlaced.v4")
    assert event == OrderPlaced(
        event_id=row.event_id,
        occurred_at=order.placed_at,
        order_id=order.pk,
        number=order.number,
        contact_id=contact.pk,
        currency="EUR",
        discount=0,
        shipping=0,
        tax=1457,
        total=8740,
        lines=[
            OrderedLine(sku="LAMP", quantity=1, unit_price=4990),
            OrderedLine(sku="MUG", quantity=3, unit_price=1250),
        ],
        payment_reference=str(token.reference),
        channel="api",
        nth_order=1,
        first_order_month=f"{order.placed_at:%Y-%m}",
        first_this_month=True,
    )
    assert token.token == "tok_ok"
    assert order.contact_id == contact.pk
    assert (contact.email, contact.phone) == ("ada@example.org", "+44 20 7946 0018")
    assert {name: getattr(contact, name) for name in ADDRESS} == ADDRESS
    step = Transition.objects.get()
    assert (step.event, step.event_id, step.after) == ("OrderPlaced", row.event_id, "placed")


def test_only_the_contact_has_personal_data(api: Api, make_body: MakeBody) -> None:
    answer = api.post(make_body())
    stored = [
        json.dumps(row, default=str) for model in (Order, IdempotencyKey, Outbox) for row in model.objects.values()
    ]
    for text in [*stored, answer.content.decode()]:
        for personal in ("ada@", "Lovelace", "7946 0018", "St James", "SW1Y", "London", "Flat 3"):
            assert personal not in text


def test_optional_fields_may_be_missing(api: Api, make_body: MakeBody) -> None:
    body = make_body(shipping_address={name: value for name, value in ADDRESS.items() if name != "line2"})
    del body["phone"]
    assert api.post(body).status_code == 201
    contact = Contact.objects.get()
    assert (contact.phone, contact.line2) == ("", "")


def test_a_repeated_request_gets_the_same_response_and_places_one_order(api: Api, make_body: MakeBody) -> None:
    first = api.post(make_body(), key="k-1")
    # The order of fields and white space do not change the request.
    again = api.post(json.dumps(dict(reversed(make_body().items())), indent=3).encode(), key="k-1")
    assert (again.status_code, again.content, again["Location"]) == (201, first.content, first["Location"])
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert count_everything() == {"Order": 1, "IdempotencyKey": 1, "Contact": 1, "Outbox": 1}


def test_a_repeated_request_gets_the_same_response_after_order_and_prices_change(
    api: Api, make_body: MakeBody, place: PlaceOrder
) -> None:
    first = api.post(make_body(), key="k-1").json()
    Product.objects.update(price=1, is_active=False)
    Order.objects.update(status="confirmed")
    assert api.post(make_body(), key="k-1").json() == first


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "eve@example.org"},
        {"payment_token": "tok_slow"},
        {"lines": [{"sku": "LAMP", "quantity": 2}, {"sku": "MUG", "quantity": 3}]},
        {"shipping_address": {**ADDRESS, "city": "Leeds"}},
    ],
)
def test_the_same_key_with_another_body_is_refused(api: Api, make_body: MakeBody, changes: dict[str, object]) -> None:
    api.post(make_body(), key="k-1")
    answer = api.post(make_body(**changes), key="k-1")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert Order.objects.count() == 1


def test_a_different_key_places_a_different_order(api: Api, make_body: MakeBody) -> None:
    numbers = {api.post(make_body(), key=f"k-{n}").json()["number"] for n in range(3)}
    assert len(numbers) == Order.objects.count() == 3


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "käse", "two words", "tab\tinside"])
def test_a_missing_or_unusable_key_is_refused(api: Api, make_body: MakeBody, key: str) -> None:
    answer = api.post(make_body(), key=key)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert count_everything() == NOTHING


def test_a_key_may_be_tried_again_after_a_mistake_in_the_body(api: Api, make_body: MakeBody) -> None:
    assert api.post(make_body(email="nobody"), key="k-1").status_code == 400
    assert api.post(make_body(lines=[{"sku": "NONE", "quantity": 1}]), key="k-1").status_code == 400
    assert api.post(make_body(), key="k-1").status_code == 201


def test_prices_and_names_come_from_the_catalogue(api: Api, make_body: MakeBody) -> None:
    Product.objects.filter(sku="LAMP").update(price=5100, name="Better lamp")
    placed = api.post(make_body(lines=[{"sku": "LAMP", "quantity": 999}])).json()
    (line,) = placed["lines"]
    assert (line["name"], line["unit_price"], line["line_total"]) == ("Better lamp", 5100, 5100 * 999)
    assert placed["total"] == 5100 * 999
    assert api.post(make_body(lines=[{"sku": "LAMP", "quantity": 1, "unit_price": 1}])).status_code == 400


def test_the_largest_possible_total_fits(api: Api, make_body: MakeBody) -> None:
    category = Product.objects.get(sku="LAMP").category
    skus = [f"GOLD-{n}" for n in range(50)]
    for sku in skus:
        Product.objects.create(sku=sku, name=sku, price=2_147_483_647, category=category)
    answer = api.post(make_body(lines=[{"sku": sku, "quantity": 999} for sku in skus]))
    assert answer.json()["total"] == 2_147_483_647 * 999 * 50


def test_an_order_is_read_with_its_token(api: Api, make_body: MakeBody) -> None:
    placed = api.post(make_body()).json()
    answer = api.get(placed["id"], placed["access_token"])
    assert answer.status_code == 200
    assert answer.json() == {
        **{name: placed[name] for name in placed if name != "access_token"},
        "reason": "",
        "waiting": None,
        "confirmed_at": None,
        "shipped_at": None,
        "delivered_at": None,
        "cancelled_at": None,
    }


def test_the_response_shows_the_current_state_of_an_order(api: Api, place: PlaceOrder) -> None:
    confirmed = place(*CONFIRMED)
    answer = api.get(confirmed.pk, sign_order(confirmed.pk)).json()
    assert (answer["status"], answer["reason"]) == ("confirmed", "")
    assert answer["confirmed_at"] == confirmed.confirmed_at.isoformat().replace("+00:00", "Z")  # type: ignore[union-attr]
    declined = place(Happening.PAYMENT_DECLINED)
    answer = api.get(declined.pk, sign_order(declined.pk)).json()
    assert (answer["status"], answer["reason"]) == ("cancelled", "payment_declined")
    assert answer["cancelled_at"]


@pytest.mark.parametrize("token", [None, "", "wrong", "käse", "x" * 5000])
def test_an_order_is_not_found_without_its_token(api: Api, make_body: MakeBody, token: str | None) -> None:
    placed = api.post(make_body()).json()
    answer = api.get(placed["id"], token)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert "X-Order-Token" in answer.json()["detail"]


def test_the_token_of_another_order_gives_no_access(api: Api, make_body: MakeBody) -> None:
    placed, other = api.post(make_body()).json(), api.post(make_body()).json()
    assert api.get(placed["id"], other["access_token"]).status_code == 404


def test_an_unknown_order_is_not_found(api: Api) -> None:
    unknown = uuid4()
    assert api.get(unknown, sign_order(unknown)).status_code == 404
    assert api.get(unknown, "wrong").status_code == 404


def test_the_columns_of_an_address_are_as_long_as_the_api_allows() -> None:
    fields = ShippingAddress().fields
    for name in ("name", "line1", "line2", "postal_code", "city"):
        column = Contact._meta.get_field(name)
        assert (name, getattr(column, "max_length", None)) == (name, getattr(fields[name], "max_length", None))


def test_orders_have_the_shops_currency(api: Api, make_body: MakeBody) -> None:
    assert api.post(make_body()).json()["currency"] == settings.SHOP_CURRENCY
