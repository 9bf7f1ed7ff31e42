"""Pages of the storefront: home, categories, search, products and errors."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from orders.prices.amounts import add_up
from relay.models import Outbox
from shop.catalogue.models import Category, Product
from shop.catalogue.money import format_money
from shop.events import ProductViewed
from tests.catalogue.conftest import FillShelf, make_product

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def read(page: Any) -> str:
    """Return the HTML of a page, which must have the status 200."""
    assert page.status_code == 200, page.status_code
    html: str = page.content.decode()
    return html


def list_cards(html: str) -> list[str]:
    """Return the SKUs of the product cards in order."""
    return re.findall(r'<span id="stock-([A-Z0-9-]+)"', html)


def test_home_shows_every_shelf_its_finest_piece_and_small_gifts(client: Client, mug: Product, tent: Product) -> None:
    make_product("CUP", "Tin Cup", 900, "Kitchen")
    make_product("STOVE", "Stove", 7900, "Kitchen")
    html = read(client.get("/"))
    assert html.count('class="tile"') == 2
    assert list_cards(html) == ["STOVE", "TENT", "MUG"]
    assert "€389.00" in html


def test_home_shows_no_product_twice_since_its_stock_is_found_by_id(client: Client, mug: Product) -> None:
    assert list_cards(read(client.get("/"))) == ["MUG"]


def test_an_empty_shop_still_has_a_front_page(client: Client) -> None:
    assert "Made for weather" in read(client.get("/"))


def test_stock_is_asked_for_once_for_all_products_of_a_page(client: Client, mug: Product, tent: Product) -> None:
    html = read(client.get("/"))
    assert re.findall(r'hx-get="(/stock/[^"]*)"', html) == ["/stock/?sku=MUG&amp;sku=TENT"]


def test_a_shelf_shows_its_own_products(client: Client, mug: Product, tent: Product) -> None:
    html = read(client.get("/c/shelter/"))
    assert list_cards(html) == ["TENT"]
    assert '<a href="/c/shelter/" aria-current="page">' in html


def test_a_product_page_shows_the_delivery_price_that_the_checkout_adds(client: Client) -> None:
    free_from = settings.SHIPPING_FREE_FROM
    for price in (free_from - 1, free_from):
        make_product(f"P{price}", "Lantern", price, "Shelter")
        html = read(client.get(f"/p/P{price}/"))
        charged = format_money(add_up(free_from - 1, "DE").shipping, "EUR")
        assert f"plus {charged} delivery, free for orders from {format_money(free_from, 'EUR')}" in html
        assert "delivery included" not in html
    assert add_up(free_from, "DE").shipping == 0


def test_an_empty_shelf_says_so(client: Client) -> None:
    Category.objects.create(slug="new", name="New")
    assert "This shelf is empty" in read(client.get("/c/new/"))


def test_a_long_shelf_comes_in_pages_that_work_without_javascript(client: Client, fill_shelf: FillShelf) -> None:
    skus = [product.sku for product in fill_shelf(30)]
    first = read(client.get("/c/kitchen/?sort=name"))
    assert list_cards(first) == skus[:24]
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = read(client.get(f"/c/kitchen/{following[1].replace('&amp;', '&')}"))
    assert list_cards(second) == skus[24:]
    assert 'rel="next"' not in second
    assert 'rel="prev"' in second


def test_show_more_answers_htmx_with_cards_alone(client: Client, fill_shelf: FillShelf) -> None:
    skus = [product.sku for product in fill_shelf(30)]
    fragment = read(client.get("/c/kitchen/?page=2", headers={**HTMX, "HX-Target": "more"}))
    assert list_cards(fragment) == skus[24:]
    assert "<html" not in fragment
    assert fragment.count("/stock/?sku=") == 1


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", "%00", "1.5"])
def test_any_page_number_shows_a_page(client: Client, mug: Product, page: str) -> None:
    assert list_cards(read(client.get(f"/c/kitchen/?page={page}"))) == ["MUG"]


def test_a_shelf_sorts_by_price_and_ignores_unknown_orders(client: Client, fill_shelf: FillShelf) -> None:
    skus = [product.sku for product in fill_shelf(3)]
    assert list_cards(read(client.get("/c/kitchen/?sort=-price"))) == skus[::-1]
    assert list_cards(read(client.get("/c/kitchen/?sort=password"))) == skus


def test_search_puts_names_before_descriptions(client: Client, mug: Product, tent: Product) -> None:
    make_product("LAMP", "Lamp", 4900, "Light", "Hangs in any tent.")
    html = read(client.get("/search/?q=tent"))
    assert list_cards(html) == ["TENT", "LAMP"]
    assert "Results for “tent”" in html


def test_a_search_without_result_shows_a_way_on(client: Client, mug: Product) -> None:
    html = read(client.get("/search/?q=<b>hovercraft"))
    assert "Nothing found for “&lt;b&gt;hovercraft”" in html
    assert '<ul class="chips"><li><a href="/c/kitchen/">' in html


@pytest.mark.parametrize("text", ["", "   ", "%00", "'", "& | !", "%F0%9F%9B%B6", "a" * 5000, "\\"])
def test_any_search_text_is_answered(client: Client, mug: Product, text: str) -> None:
    read(client.get(f"/search/?q={text}"))


def test_a_product_page_shows_all_that_is_needed_to_buy(client: Client, mug: Product) -> None:
    make_product("CUP", "Tin Cup", 900, "Kitchen")
    html = read(client.get("/p/MUG/"))
    assert "Enamel Mug" in html
    assert "€14.00" in html
    assert "for coffee outdoors" in html
    assert 'action="/cart/add/"' in html
    assert list_cards(html) == ["MUG", "CUP"]


def test_a_product_off_sale_is_on_no_page(client: Client, mug: Product) -> None:
    Product.objects.update(is_active=False)
    assert client.get("/p/MUG/").status_code == 404
    for address in ("/", "/c/kitchen/", "/search/?q=mug"):
        assert "Enamel Mug" not in read(client.get(address))


def test_each_view_of_a_product_is_published_once(client: Client, mug: Product) -> None:
    client.head("/p/MUG/")
    client.get("/p/MUG/", headers={"Sec-Purpose": "prefetch"})
    assert not Outbox.objects.exists()
    client.get("/p/MUG/")
    client.get("/p/MUG/")
    rows = Outbox.objects.order_by("position")
    events = [ProductViewed.decode(row.body) for row in rows]
    assert [(row.topic, event.sku) for row, event in zip(rows, events, strict=True)] == [("shop.activity", "MUG")] * 2
    assert events[0].visitor == events[1].visitor


def test_a_product_page_is_shown_even_when_its_view_cannot_be_recorded(
    client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(event: ProductViewed) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1 / 0")

    monkeypatch.setattr("shop.activity.recording.publish_alone", fail)
    assert "Enamel Mug" in read(client.get("/p/MUG/"))


def test_a_page_costs_few_queries_however_many_products(
    client: Client, fill_shelf: FillShelf, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill_shelf(24)
    with django_assert_num_queries(4):  # the shelf, the count, the products, the shelves of the header
        client.get("/c/kitchen/")


@pytest.mark.parametrize("address", ["/nowhere/", "/c/none/", "/p/NONE/", "/p/lower/"])
def test_an_unknown_address_is_answered_with_a_page(client: Client, address: str) -> None:
    page = client.get(address)
    assert page.status_code == 404
    assert "There is no path here" in page.content.decode()


def test_an_unknown_address_of_the_api_is_answered_with_a_problem(client: Client) -> None:
    answer = client.get("/api/v1/nowhere/")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_broken_page_is_answered_with_words(client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("shop.catalogue.pages.list_products", fail)
    client.raise_request_exception = False
    page = client.get("/c/kitchen/")
    assert page.status_code == 500
    assert "That was our mistake" in page.content.decode()
    assert "broken" not in page.content.decode()


def lose_the_database(*args: object, **options: object) -> None:
    raise OperationalError("connection refused")


@pytest.mark.parametrize("address", ["/", "/c/kitchen/", "/search/?q=mug", "/p/MUG/", "/cart/"])
def test_without_database_a_page_says_so(
    client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    client.post("/cart/add/", {"sku": "MUG", "quantity": 1})
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", lose_the_database)
    page = client.get(address)
    assert page.status_code == 503
    assert page["Retry-After"]
    assert "Back in a moment" in page.content.decode()


def test_health_tells_whether_the_database_answers(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "database": "ok"}
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", lose_the_database)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unavailable"}


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (0, "EUR", "€0.00"),
        (5, "EUR", "€0.05"),
        (123456789, "EUR", "€1,234,567.89"),
        (-150, "EUR", "\N{MINUS SIGN}€1.50"),
        (1500, "JPY", "JPY\u00a01,500"),
        (1500, "NOK", "NOK\u00a015.00"),
    ],
)
def test_money_is_written_from_minor_units(amount: int, currency: str, shown: str) -> None:
    assert format_money(amount, currency) == shown
