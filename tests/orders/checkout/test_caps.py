"""A buyer never gets more of a capped product than its cap, even with concurrent orders."""

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum

from orders.checkout.caps import CapExceeded
from orders.checkout.placement import place_order
from orders.lifecycle.saga import Happening
from orders.lifecycle.transitions import advance_order
from orders.models import CappedPurchase, Order
from shop.catalogue.models import Product
from tests.orders.checkout.test_idempotency_races import run_together
from tests.orders.conftest import Api, MakeBody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("products")]
TWO_LAMPS = [{"sku": "LAMP", "quantity": 2}]


@pytest.fixture(autouse=True)
def _cap(products: None) -> None:
    Product.objects.filter(sku="LAMP").update(most_per_customer=3)


def test_an_order_over_the_cap_is_refused_with_the_quantity_bought_before(api: Api, make_body: MakeBody) -> None:
    assert api.post(make_body(lines=TWO_LAMPS)).status_code == 201
    answer = api.post(make_body(lines=TWO_LAMPS, email="ADA@example.org"))
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {
            "field": "lines[0].quantity",
            "message": "We sell at most 3 of Lamp to each customer, and you have already ordered 2.",
        }
    ]
    assert api.post(make_body(lines=TWO_LAMPS, email="grace@example.org")).status_code == 201
    assert Order.objects.count() == 2


def test_a_customers_cap_counts_by_account_not_by_address(make_body: MakeBody) -> None:
    ada = User.objects.create(username="ada")
    place_order(idempotency_key="k-1", request=make_body(lines=TWO_LAMPS), caller=ada)
    with pytest.raises(CapExceeded):
        place_order(idempotency_key="k-2", request=make_body(lines=TWO_LAMPS, email="other@example.org"), caller=ada)


def test_a_cancelled_order_does_not_count(make_body: MakeBody) -> None:
    first = place_order(idempotency_key="k-1", request=make_body(lines=TWO_LAMPS))
    with transaction.atomic():
        advance_order(Order.objects.get(pk=first.answer["id"]).pk, Happening.CANCEL_REQUESTED)
    assert not place_order(idempotency_key="k-2", request=make_body(lines=TWO_LAMPS)).replayed


def test_only_a_keyed_hash_of_the_address_is_stored(api: Api, make_body: MakeBody) -> None:
    api.post(make_body(lines=TWO_LAMPS))
    assert len(CappedPurchase.objects.get().buyer) == 64


@pytest.mark.django_db(transaction=True)
def test_sixteen_threads_of_one_customer_get_three(make_body: MakeBody) -> None:
    def place(number: int) -> str:
        lines = [{"sku": "LAMP", "quantity": 1}, {"sku": "MUG", "quantity": 1}]
        try:
            place_order(idempotency_key=f"k-{number}", request=make_body(lines=lines[:: 1 if number % 2 else -1]))
        except CapExceeded:
            return "capped"
        return "placed"

    Product.objects.filter(sku="MUG").update(most_per_customer=3)
    results = run_together([lambda number=n: place(number) for n in range(32)], threads=16)
    assert (results.count("placed"), results.count("capped")) == (3, 29)
    assert CappedPurchase.objects.filter(sku="LAMP").aggregate(n=Sum("quantity"))["n"] == 3
