"""The fragments that say how much is left."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from inventory.services import receive_opening_stock
from tests.inventory.conftest import Orders

pytestmark = pytest.mark.django_db


def ask(client: Client, *skus: str) -> Any:
    return client.get(reverse("inventory:availability") + "?" + urlencode([("sku", sku) for sku in skus]))


def test_each_level_has_its_words_and_its_class(client: Client, orders: Orders) -> None:
    receive_opening_stock({"MANY": 6, "FEW": 5, "ONE": 3, "NONE": 0})
    orders.place(("ONE", 2))

    page = ask(client, "MANY", "FEW", "ONE", "NONE", "GHOST").content.decode()

    assert page.strip().splitlines() == [
        '<span id="stock-MANY" hx-swap-oob="true" class="stock stock--ok">In stock</span>',
        '<span id="stock-FEW" hx-swap-oob="true" class="stock stock--low">Only 5 left</span>',
        '<span id="stock-ONE" hx-swap-oob="true" class="stock stock--low">Only 1 left</span>',
        '<span id="stock-NONE" hx-swap-oob="true" class="stock stock--out">Sold out</span>',
        '<span id="stock-GHOST" hx-swap-oob="true" class="stock stock--out">Sold out</span>',
    ]


@pytest.mark.parametrize("sku", ['"><script>', "A B", "", "Ä", "A" * 33, "A\n", "\0", "-A", "a"])
def test_what_can_be_no_sku_is_left_out(client: Client, sku: str) -> None:
    answer = ask(client, sku, "FINE-1")
    assert answer.status_code == 200
    assert answer.content.count(b"<span") == 1
    assert b'id="stock-FINE-1"' in answer.content


def test_a_sku_asked_twice_is_answered_once(client: Client) -> None:
    assert ask(client, "A", "A").content.count(b"<span") == 1


def test_nothing_asked_is_an_empty_answer(client: Client) -> None:
    answer = ask(client)
    assert (answer.status_code, answer.content.strip()) == (200, b"")


def test_a_hundred_are_answered_with_one_query_and_more_are_refused(
    client: Client, django_assert_num_queries: Any
) -> None:
    skus = [f"S{n}" for n in range(101)]
    with django_assert_num_queries(1):
        assert ask(client, *skus[:100]).content.count(b"<span") == 100

    refused = ask(client, *skus)
    assert refused.status_code == 400
    assert b"at most 100" in refused.content


def test_availability_is_never_cached_and_only_read(client: Client) -> None:
    assert "no-store" in ask(client, "A")["Cache-Control"]
    assert client.post(reverse("inventory:availability")).status_code == 405
