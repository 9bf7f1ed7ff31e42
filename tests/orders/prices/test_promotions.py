"""Orders never use a code more often than allowed. A cancelled order frees its use."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from orders.checkout.placement import place_order
from orders.lifecycle.cancellation import cancel_order
from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import advance_order
from orders.models import Order, Promotion, Redemption
from orders.prices.promotions import UnusableCode
from orders.verification import find_promotion_differences
from shop.catalogue.models import Product
from tests.orders.checkout.test_idempotency_races import run_together
from tests.orders.conftest import NOTHING, Api, MakeBody, count_everything, make_promotion

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]


@pytest.mark.parametrize(
    ("kind", "value", "discount"),
    [("percent", 10, 874), ("percent", 33, 2884), ("percent", 100, 8740), ("amount", 500, 500), ("amount", 9999, 8740)],
)
def test_the_discount_is_never_more_than_the_goods(
    api: Api, make_body: MakeBody, kind: str, value: int, discount: int
) -> None:
    make_promotion("SPRING", uses=1, kind=kind, value=value)
    assert api.post(make_body(promotion_code=" spring ")).json()["discount"] == discount
    assert list(find_promotion_differences()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"begins_at": timezone.now() + timedelta(minutes=30)}, "not valid yet"),
        ({"ends_at": timezone.now() - timedelta(minutes=30)}, "not valid any more"),
        ({"used": 1}, "used up"),
        ({"code": "AUTUMN"}, "There is no code SPRING"),
    ],
)
def test_an_unusable_code_is_reported_and_no_order_is_placed(
    api: Api, make_body: MakeBody, changes: dict[str, Any], words: str
) -> None:
    make_promotion(**{"code": "SPRING", "uses": 1, **changes})
    answer = api.post(make_body(promotion_code="SPRING"))
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == "promotion_code"
    assert words in error["message"]
    assert count_everything() == NOTHING


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_get_exactly_ten_uses(make_body: MakeBody) -> None:
    make_promotion("SPRING", uses=10)

    def place(number: int) -> str:
        try:
            place_order(idempotency_key=f"k-{number}", request=make_body(promotion_code="SPRING"))
        except UnusableCode:
            return "used up"
        return "placed"

    results = run_together([lambda number=n: place(number) for n in range(48)], threads=16)
    assert results.count("placed") == 10
    assert Promotion.objects.get().used == Redemption.objects.count() == Order.objects.count() == 10
    assert list(find_promotion_differences()) == []


@pytest.mark.django_db(transaction=True)
def test_concurrent_requests_with_one_key_for_the_last_use_get_one_order(make_body: MakeBody) -> None:
    make_promotion("SPRING", uses=1)
    request = make_body(promotion_code="SPRING")
    results = run_together([lambda: place_order(idempotency_key="k-1", request=request)] * 16, threads=16)
    assert len({placement.answer["id"] for placement in results}) == 1
    assert Promotion.objects.get().used == 1


@pytest.mark.django_db(transaction=True)
def test_cancellations_free_each_use_once_during_concurrent_orders(make_body: MakeBody) -> None:
    make_promotion("SPRING", uses=8)
    request = make_body(promotion_code="SPRING")
    orders = [place_order(idempotency_key=f"k-{n}", request=request).answer["id"] for n in range(8)]

    def cancel(order_id: str) -> str:
        with transaction.atomic():
            advance_order(Order.objects.get(pk=order_id).pk, Happening.CANCEL_REQUESTED)
        return "cancelled"

    def place(number: int) -> str:
        try:
            place_order(idempotency_key=f"again-{number}", request=request)
        except UnusableCode:
            return "used up"
        return "placed"

    calls: list[Any] = []
    for number, order_id in enumerate(orders):
        calls += [
            lambda order_id=order_id: cancel(order_id),
            lambda order_id=order_id: cancel(order_id),
            lambda number=number: place(number),
        ]
    results = run_together(calls, threads=12)
    assert Promotion.objects.get().used == results.count("placed") <= 8
    assert list(find_promotion_differences()) == []


def test_a_use_with_a_discount_of_0_is_freed_too(api: Api, make_body: MakeBody) -> None:
    """One per cent of fifty cents is a discount of 0, which counts as a use."""
    make_promotion("SPRING", uses=1, value=1)
    Product.objects.filter(sku="MUG").update(price=50)
    body = make_body(promotion_code="SPRING", lines=[{"sku": "MUG", "quantity": 1}])
    assert api.post(body).json()["discount"] == 0
    assert Promotion.objects.get().used == 1
    cancel_order(Order.objects.get().pk)
    assert Promotion.objects.get().used == 0
    assert list(find_promotion_differences()) == []


def test_verification_finds_wrong_counts_of_uses(api: Api, make_body: MakeBody) -> None:
    make_promotion("SPRING", uses=3)
    api.post(make_body(promotion_code="SPRING"))
    number = Order.objects.get().number
    Order.objects.update(status="cancelled", discount=1)
    Promotion.objects.update(used=2)
    assert list(find_promotion_differences()) == [
        "promotion SPRING counts 2 uses, but its orders hold 1",
        f"order {number} has a discount of 1, but its redemption has 874",
    ]
    Order.objects.update(discount=874)
    assert f"order {number} is cancelled, but the use of its promotion is still held" in find_promotion_differences()


def test_staff_can_create_a_code_but_not_an_invalid_one(admin_client: Client) -> None:
    form = {
        "code": "WINTER",
        "kind": "percent",
        "value": "20",
        "begins_at_0": "2026-11-01",
        "begins_at_1": "00:00",
        "ends_at_0": "2026-12-01",
        "ends_at_1": "00:00",
        "uses": "100",
        "reason_for_audit": "Winter sale.",
    }
    for wrong in ({"value": "101"}, {"value": "0"}, {"ends_at_0": "2026-10-01"}, {"code": "two words"}):
        assert admin_client.post("/admin/orders/promotion/add/", {**form, **wrong}).status_code == 200
    assert not Promotion.objects.exists()
    assert admin_client.post("/admin/orders/promotion/add/", form).status_code == 302
    assert Promotion.objects.get().uses == 100
    assert admin_client.get("/admin/orders/promotion/WINTER/change/").status_code == 200
