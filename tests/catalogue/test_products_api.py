"""Products in the REST API."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.templatetags.static import static
from django.test import Client

from shop.catalogue.models import Product
from tests.catalogue.conftest import FillShelf, make_product

pytestmark = pytest.mark.django_db
LIST = "/api/v1/products/"


def read_skus(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [product["sku"] for product in answer.json()["results"]]


def read_wrong_fields(answer: Any) -> set[str]:
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    return {error["field"] for error in answer.json()["errors"]}


def test_a_product_has_the_promised_shape(client: Client, mug: Product) -> None:
    Product.objects.update(picture="catalogue/pictures/MUG-BIRCH.svg")
    expected = {
        "sku": "MUG",
        "name": "Enamel Mug",
        "description": "Steel and enamel, for coffee outdoors.",
        "category": {"slug": "kitchen", "name": "Kitchen"},
        "price": 1400,
        "currency": "EUR",
        "picture": f"http://testserver{static('catalogue/pictures/MUG-BIRCH.svg')}",
    }
    assert client.get(LIST).json() == {"next": None, "previous": None, "results": [expected]}
    assert client.get(f"{LIST}MUG/").json() == expected


def test_a_product_without_picture_has_null(client: Client, mug: Product) -> None:
    assert client.get(f"{LIST}MUG/").json()["picture"] is None


def test_products_off_sale_are_not_listed(client: Client, mug: Product) -> None:
    make_product("OLD", "Old Mug", 100, "Kitchen", is_active=False)
    assert read_skus(client.get(LIST)) == ["MUG"]
    assert client.get(f"{LIST}OLD/").status_code == 404


@pytest.mark.parametrize("sku", ["NONE", "lower", "A B", "A%00", "A" * 33])
def test_an_unknown_product_is_a_404_problem(client: Client, mug: Product, sku: str) -> None:
    answer = client.get(f"{LIST}{sku}/")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_pages_follow_one_another_without_gap_or_repeat(client: Client, fill_shelf: FillShelf) -> None:
    expected = [product.sku for product in fill_shelf(45)]
    seen: list[str] = []
    backwards: list[str] = []
    address: str | None = f"{LIST}?page_size=20"
    while address:
        answer = client.get(address)
        assert set(answer.json()) == {"next", "previous", "results"}
        seen += read_skus(answer)
        address = answer.json()["next"]
        last = answer.json()["previous"]
    while last:
        answer = client.get(last)
        backwards = read_skus(answer) + backwards
        last = answer.json()["previous"]
    assert seen == expected
    assert backwards == expected[:40]


def test_a_page_has_20_products_unless_asked_for_more(client: Client, fill_shelf: FillShelf) -> None:
    fill_shelf(105)
    assert len(read_skus(client.get(LIST))) == 20
    assert len(read_skus(client.get(f"{LIST}?page_size=100"))) == 100


def test_the_next_page_keeps_search_and_filter(client: Client, fill_shelf: FillShelf) -> None:
    fill_shelf(3, "Kitchen")
    fill_shelf(3, "Shelter")
    following = urlsplit(client.get(f"{LIST}?category=shelter&search=thing&page_size=2").json()["next"])
    assert read_skus(client.get(f"{following.path}?{following.query}")) == ["SHELTER-002"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("mug", ["MUG"]),
        ("mugs", ["MUG"]),
        ("ENAM", ["MUG"]),
        ("coffee", ["MUG"]),
        ("enamel steel", ["MUG"]),
        ("enamel wind", []),
        ("kitchen", ["MUG"]),
        ("tent", ["TENT"]),
        ("TENT", ["TENT"]),
        ("hovercraft", []),
        ("!!!", []),
        ("' & | ! ( ) :* <->", []),
        ("mug:* | tent", []),
    ],
)
def test_search_finds_words_their_beginnings_shelves_and_skus(
    client: Client, mug: Product, tent: Product, search: str, found: list[str]
) -> None:
    assert read_skus(client.get(LIST, {"search": search})) == found


def test_an_empty_search_or_category_is_ignored(client: Client, mug: Product, tent: Product) -> None:
    assert read_skus(client.get(f"{LIST}?search=&category=")) == ["MUG", "TENT"]


def test_the_category_filter_takes_a_slug(client: Client, mug: Product, tent: Product) -> None:
    assert read_skus(client.get(f"{LIST}?category=shelter")) == ["TENT"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("category=none", "category"),
        ("category=%00", "category"),
        ("category=a b", "category"),
        ("search=%00", "search"),
        (f"search={'x' * 101}", "search"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=many", "page_size"),
        ("cursor=nonsense", "cursor"),
        ("cursor=cD0lMDA=", "cursor"),  # p=%00
        ("cursor=bz1hYmM=", "cursor"),  # o=abc
    ],
)
def test_a_bad_parameter_is_named(client: Client, mug: Product, query: str, field: str) -> None:
    assert read_wrong_fields(client.get(f"{LIST}?{query}")) == {field}


def test_products_can_only_be_read(client: Client, mug: Product) -> None:
    assert client.post(LIST).status_code == 405
    assert client.delete(f"{LIST}MUG/").status_code == 405
