"""No page of the shop contains inline scripts or styles, and the Content-Security-Policy forbids them."""

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from orders.models import Order
from shop.catalogue.models import Product
from tests.catalogue.conftest import ADDRESS, read_key

pytestmark = pytest.mark.django_db


class Page(HTMLParser):
    """Parser that collects a page's inline code, loaded files, ids, labels and inputs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.inline += [name for name in values if name == "style" or name.startswith(("on", "hx-on"))]
        self.inline += [value for value in values.values() if value.startswith("javascript:")]
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)
        if tag in ("script", "img"):
            self.loaded.append(values["src"])
        if tag == "link":
            self.loaded.append(values["href"])
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "label":
            self.labels.add(values["for"])
        if tag in ("input", "select") and values.get("type") not in ("hidden", "submit"):
            self.inputs.append(values)


@pytest.fixture
def pages(cart: Client) -> dict[str, str]:
    """Return the HTML of each kind of page by address, after a check of the policy header."""
    checkout = cart.get("/checkout/")
    wrong = cart.post("/checkout/", {**ADDRESS, "email": "", "idempotency_key": read_key(checkout)})
    addresses = ["/", "/c/kitchen/", "/search/?q=mug", "/search/?q=none", "/p/MUG/", "/cart/", "/nowhere/"]
    answers = {address: cart.get(address) for address in addresses} | {"/checkout/": checkout, "wrong": wrong}
    cart.post("/checkout/", {**ADDRESS, "idempotency_key": read_key(checkout)})
    answers["order"] = cart.get(f"/orders/{Order.objects.get().pk}/")
    for address, answer in answers.items():
        policy = answer["Content-Security-Policy"]
        assert "default-src 'self'" in policy, address
        assert "unsafe" not in policy, address
        assert "script-src" not in policy, address
        assert "frame-ancestors 'none'" in policy, address
    return {address: answer.content.decode() for address, answer in answers.items()}


def test_nothing_is_inline(pages: dict[str, str]) -> None:
    assert {address: Page(html).inline for address, html in pages.items() if Page(html).inline} == {}


def test_everything_that_is_loaded_is_there_and_ours(pages: dict[str, str]) -> None:
    loaded = {path for html in pages.values() for path in Page(html).loaded}
    assert loaded
    assert {path for path in loaded if Client().head(path).status_code != 200} == set()
    assert all(path.startswith("/static/") for path in loaded)


def test_every_input_has_a_label_and_ids_are_unique(pages: dict[str, str]) -> None:
    for address, html in pages.items():
        page = Page(html)
        assert [values for values in page.inputs if values.get("id") not in page.labels] == [], address
        assert sorted(set(page.ids)) == sorted(page.ids), address


def test_every_page_has_its_landmarks_one_heading_and_a_title(pages: dict[str, str]) -> None:
    for address, html in pages.items():
        page = Page(html)
        assert [page.tags.count(tag) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1], address
        assert 'href="#main"' in html
    titles = [re.findall("<title>([^<]+)</title>", html)[0] for html in pages.values()]
    assert len(set(titles)) >= len(titles) - 1  # the checkout is shown twice


def test_the_pages_of_the_api_load_nothing_from_elsewhere(client: Client, mug: Product) -> None:
    html = client.get("/api/docs/").content.decode()
    assert "swagger" in html
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
