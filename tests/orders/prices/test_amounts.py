"""The server computes the amounts of an order. A total that the customer did not see is refused."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.api.serializers import OrderRequest
from orders.checkout.placement import place_order
from orders.models import IdempotencyKey, Order
from orders.prices.amounts import add_up, find_tax
from relay.models import Outbox
from shop.catalogue.models import Product
from shop.events import OrderPlaced
from shop.statements import run_prepared
from tests.orders.conftest import ADDRESS, NOTHING, Api, MakeBody, count_everything, make_promotion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]
ONE_MUG = [{"sku": "MUG", "quantity": 1}]


@pytest.mark.parametrize(
    ("gross", "country", "tax"),
    [(11900, "DE", 1900), (12550, "FI", 2550), (1, "DE", 0), (3, "DE", 0), (4, "DE", 1), (5000, "US", 0), (0, "DE", 0)],
)
def test_the_included_tax_is_rounded_to_the_nearest_unit(gross: int, country: str, tax: int) -> None:
    assert find_tax(gross, country) == tax


@pytest.mark.parametrize(
    ("subtotal", "discount", "shipping"), [(4999, 0, 490), (5000, 0, 0), (5000, 1, 490), (9000, 4000, 0)]
)
def test_shipping_has_a_flat_price_and_is_free_from_a_limit(subtotal: int, discount: int, shipping: int) -> None:
    amounts = add_up(subtotal, "DE", discount)
    assert (amounts.shipping, amounts.total) == (shipping, subtotal - discount + shipping)


def test_response_order_and_event_have_the_same_amounts(api: Api, make_body: MakeBody) -> None:
    make_promotion("SPRING", uses=1)
    address = {**ADDRESS, "country": "DE"}
    placed = api.post(make_body(lines=ONE_MUG, promotion_code="spring", shipping_address=address)).json()
    amounts = {"discount": 125, "shipping": 490, "tax": 258, "total": 1615}
    assert {name: placed[name] for name in ("subtotal", *amounts)} == {"subtotal": 1250, **amounts}
    order = Order.objects.get()
    assert {name: getattr(order, name) for name in amounts} == amounts
    event = OrderPlaced.decode(Outbox.objects.get().body)
    assert {name: getattr(event, name) for name in amounts} == amounts
    detail = api.get(placed["id"], placed["access_token"]).json()
    assert {name: detail[name] for name in ("subtotal", *amounts)} == {"subtotal": 1250, **amounts}


def test_an_order_with_an_outdated_total_is_refused_until_the_new_one_is_sent(api: Api, make_body: MakeBody) -> None:
    body = make_body(lines=ONE_MUG, expected_total=1740)
    Product.objects.filter(sku="MUG").update(price=1300)
    answer = api.post(body, key="k-1")
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert answer.json()["errors"] == [{"field": "expected_total", "message": "The total is now €17.90, not €17.40."}]
    assert count_everything() == NOTHING
    assert api.post({**body, "expected_total": 1790}, key="k-1").status_code == 201


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"price": 1300}, 201),
        ({"name": "Better mug"}, 201),
        ({"is_active": False}, 400),
        ({"most_per_customer": 2}, 400),
        ({"most_per_customer": 3}, 201),
    ],
)
def test_an_outdated_price_in_the_cache_is_never_used(
    api: Api, make_body: MakeBody, change: dict[str, Any], status: int
) -> None:
    lines = [{"sku": "MUG", "quantity": 3}]
    assert api.post(make_body(lines=lines, email="other@example.org")).status_code == 201
    Product.objects.filter(sku="MUG").update(**change)
    answer = api.post(make_body(lines=lines))
    assert answer.status_code == status
    if status == 201:
        line = answer.json()["lines"][0]
        assert (line["unit_price"], line["name"]) == (change.get("price", 1250), change.get("name", "Mug"))


def test_a_common_order_takes_one_query(api: Api, make_body: MakeBody, monkeypatch: pytest.MonkeyPatch) -> None:
    api.post(make_body())
    asked: list[str] = []

    def count(sql: Any, values: Any) -> Any:
        asked.append(sql)
        return run_prepared(sql, values)

    for module in ("orders.checkout.statement", "shop.catalogue.prices"):
        monkeypatch.setattr(f"{module}.run_prepared", count)
    with CaptureQueriesContext(connection) as queries:
        assert api.post(make_body()).status_code == 201
    assert len(asked) == 1
    assert [query["sql"] for query in queries] == []
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_prepared_statements where statement like '%%orders_idempotencykey%%'")
        assert cursor.fetchone() == (1,), "it is planned once"


def test_an_answer_stored_before_there_were_amounts_is_complete(api: Api, make_body: MakeBody) -> None:
    placed = place_order(idempotency_key="k-1", request=read(make_body()))
    stored = IdempotencyKey.objects.get()
    for name in ("subtotal", "discount", "shipping", "tax"):
        del stored.answer[name]
    stored.save()
    again = api.post(make_body(), key="k-1")
    assert (again.status_code, again.json()["id"]) == (201, placed.answer["id"])
    assert [again.json()[name] for name in ("subtotal", "discount", "shipping", "tax")] == [8740, 0, 0, 0]


def read(body: dict[str, object]) -> dict[str, object]:
    """Return the body as the API validates it."""
    request = OrderRequest(data=body)
    request.is_valid(raise_exception=True)
    return dict(request.validated_data)


def test_a_request_needs_either_lines_or_a_cart(api: Api, make_body: MakeBody) -> None:
    body = make_body(cart=str(uuid4()))
    assert [error["field"] for error in api.post(body).json()["errors"]] == ["cart"]
    del body["lines"], body["cart"], body["email"]
    assert [error["field"] for error in api.post(body).json()["errors"]] == ["email", "lines"]
