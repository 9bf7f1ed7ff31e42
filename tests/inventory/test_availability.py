"""The fragments that show the availability of products."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from inventory.services import receive_opening_stock
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db


def fetch(client: Client, *skus: str) -> Any:
    return client.get(reverse("inventory:availability") + "?" + urlencode([("sku", sku) for sku in skus]))


def test_each_level_has_its_own_text_and_css_class(client: Client, orders: Orders) -> None:
    receive_opening_stock({"MANY": 6, "FEW": 5, "ONE": 3, "NONE": 0})
    orders.place(("ONE", 2))

    page = fetch(client, "MANY", "FEW", "ONE", "NONE", "GHOST").content.decode()

    assert page.strip().splitlines() == [
        '<span id="stock-MANY" hx-swap-oob="true" class="stock stock--ok">In stock</span>',
        '<span id="stock-FEW" hx-swap-oob="true" class="stock stock--low">Only 5 left</span>',
        '<span id="stock-ONE" hx-swap-oob="true" class="stock stock--low">Only 1 left</span>',
        '<span id="stock-NONE" hx-swap-oob="true" class="stock stock--out">Sold out</span>',
        '<span id="stock-GHOST" hx-swap-oob="true" class="stock stock--out">Sold out</span>',
    ]


@pytest.mark.parametrize("sku", ['"><script>', "A B", "", "Ä", "A" * 33, "A\n", "\0", "-A", "a"])
def test_values_that_are_not_skus_are_skipped(client: Client, sku: str) -> None:
    answer = fetch(client, sku, "FINE-1")
    assert answer.status_code == 200
    assert answer.content.count(b"<span") == 1
    assert b'id="stock-FINE-1"' in answer.content


def test_a_repeated_sku_has_one_fragment(client: Client) -> None:
    assert fetch(client, "A", "A").content.count(b"<span") == 1


def test_a_request_without_skus_has_an_empty_response(client: Client) -> None:
    answer = fetch(client)
    assert (answer.status_code, answer.content.strip()) == (200, b"")


def test_a_hundred_skus_take_one_query_and_more_are_refused(client: Client, django_assert_num_queries: Any) -> None:
    skus = [f"S{n}" for n in range(101)]
    with django_assert_num_queries(1):
        assert fetch(client, *skus[:100]).content.count(b"<span") == 100

    refused = fetch(client, *skus)
    assert refused.status_code == 400
    assert b"at most 100" in refused.content


def test_availability_is_never_cached_and_only_read(client: Client) -> None:
    assert "no-store" in fetch(client, "A")["Cache-Control"]
    assert client.post(reverse("inventory:availability")).status_code == 405
