"""Cached catalogue pages show changes within a second, and never show one visitor's data to another.

The tests commit their changes, because pages are not cached in a transaction.
"""

import gzip
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, connections, transaction
from django.test import Client

from inventory.services import receive_stock
from relay.models import Outbox, Stream
from shop.catalogue import shared_pages
from shop.catalogue.compression import join_gzip, pack, pack_part
from shop.catalogue.models import Category, Product
from shop.events import ActivityEvent, ProductViewed
from tests.catalogue.conftest import FillShelf

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESSES = ["/", "/c/kitchen/", "/p/MUG/"]


@pytest.fixture(autouse=True)
def rendered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Cache pages for as long as the shop does, and return a list of the rendered templates."""
    monkeypatch.setattr(shared_pages, "CHECK_SECONDS", 0.5)
    monkeypatch.setattr(shared_pages, "_shared", shared_pages.SharedPages())
    render, templates = shared_pages.render_page, list[str]()

    def note(template: str, context: dict[str, Any]) -> shared_pages.Page:
        templates.append(template)
        return render(template, context)

    monkeypatch.setattr(shared_pages, "render_page", note)
    yield templates


@pytest.fixture
def shopper(mug: Product) -> Client:
    """A visitor with a mug in the cart, who has already seen the message about it."""
    client = Client()
    client.post("/cart/add/", {"sku": "MUG", "quantity": 1})
    client.get("/cart/")
    return client


def read(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200, page.status_code
    html: str = page.content.decode()
    return html


def read_count(html: str) -> str:
    return str(re.findall(r'id="cart-count"[^>]*>(\d+)<', html)[0])


def read_token(html: str) -> str:
    return str(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', html)[0])


def seconds_until(is_true: Callable[[], bool]) -> float:
    """Return the seconds until `is_true` returns True, at most about 3."""
    began = time.monotonic()
    while not is_true() and time.monotonic() < began + 3:
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_is_rendered_once_for_all_visitors(
    client: Client, shopper: Client, rendered: list[str], address: str
) -> None:
    rendered.clear()
    for visitor in (client, shopper, Client(), shopper):
        assert "€14.00" in read(visitor, address)
    assert len(rendered) == 1


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def save_price(price: int) -> None:
    product = Product.objects.get()
    product.price = price
    product.save()


CHANGES: list[Callable[[int], object]] = [
    save_price,
    lambda price: Product.objects.update(price=price),
    lambda price: execute(f"update catalogue_product set price = {price}"),  # noqa: S608 - our own number
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_new_price_is_seen_within_a_second_by_every_visitor(client: Client, shopper: Client, address: str) -> None:
    for price, change in enumerate(CHANGES, start=1500):
        for visitor in (client, shopper):
            read(visitor, address)
        change(price)
        for visitor in (client, shopper):
            assert seconds_until(partial(is_shown, visitor, address, f"€{price / 100:.2f}")) < 1


def is_shown(visitor: Client, address: str, text: str) -> bool:
    return text in read(visitor, address)


def test_a_new_name_and_the_end_of_a_sale_are_seen_within_a_second(client: Client, shopper: Client) -> None:
    for address in ADDRESSES:
        read(client, address)
    Category.objects.update(name="Hearth")
    assert seconds_until(lambda: all("Hearth" in read(client, address) for address in ADDRESSES)) < 1
    Product.objects.update(is_active=False)
    assert seconds_until(lambda: client.get("/p/MUG/").status_code == 404) < 1
    assert "Enamel Mug" not in read(client, "/c/kitchen/")
    Product.objects.all().delete()
    Category.objects.all().delete()
    assert seconds_until(lambda: shopper.get("/c/kitchen/").status_code == 404) < 1


def test_a_change_of_the_stock_badge_is_seen_within_a_second_by_every_visitor(client: Client, shopper: Client) -> None:
    def read_badge(visitor: Client) -> str:
        address = re.findall(r'hx-get="(/stock/[^"]*)"', read(visitor, "/p/MUG/"))[0]
        return read(visitor, address.replace("&amp;", "&"))

    for visitor in (client, shopper):
        assert "Sold out" in read_badge(visitor)
    receive_stock("MUG", 50, "test")
    for visitor in (client, shopper):
        assert "In stock" in read_badge(visitor)


def test_uncommitted_changes_are_not_shown_until_the_commit(client: Client, mug: Product) -> None:
    changed, commit = threading.Event(), threading.Event()

    def change() -> None:
        with transaction.atomic():
            Product.objects.update(price=1500)
            changed.set()
            commit.wait(60)
        connections.close_all()

    thread = threading.Thread(target=change)
    thread.start()
    changed.wait(60)
    time.sleep(0.6)  # the page must be read while the change is not committed
    assert "€14.00" in read(client, "/p/MUG/")
    commit.set()
    thread.join()
    assert seconds_until(lambda: "€15.00" in read(client, "/p/MUG/")) < 1


def test_a_page_of_an_older_version_is_not_kept(mug: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_pages, "CHECK_SECONDS", 0)
    pages = shared_pages._shared.open()
    Product.objects.update(price=1500)
    assert shared_pages._shared.open() is not pages
    pages["home"] = shared_pages.Page([b"rendered before the change"], [], [])
    assert "home" not in shared_pages._shared.open()


def test_in_a_transaction_its_own_changes_are_shown_to_nobody_else(client: Client, mug: Product) -> None:
    assert "€14.00" in read(client, "/p/MUG/")
    with transaction.atomic():
        Product.objects.update(price=1500)
        assert "€15.00" in read(client, "/p/MUG/")
        transaction.set_rollback(True)
    assert "€14.00" in read(client, "/p/MUG/")


def test_changes_at_the_same_moment_do_not_deadlock(fill_shelf: FillShelf) -> None:
    skus = [product.sku for product in fill_shelf(8)]
    barrier = threading.Barrier(2)

    def change(order: list[str]) -> None:
        try:
            for _ in range(10):
                with transaction.atomic():
                    Product.objects.filter(sku=order[0]).update(price=1)
                    barrier.wait(60)
                    Product.objects.filter(sku=order[1]).update(price=2)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(change, (skus[:2], skus[2:4])))


def test_every_view_is_recorded_once(client: Client, shopper: Client) -> None:
    def view(_: int) -> None:
        try:
            for visitor in (Client(), Client()):
                for _ in range(5):
                    read(visitor, "/p/MUG/")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(view, range(4)))
    for _ in range(3):
        read(shopper, "/p/MUG/")
    rows = Outbox.objects.filter(type=ProductViewed.type_name())
    visitors = [ProductViewed.decode(row.body).visitor for row in rows]
    assert sorted(map(visitors.count, set(visitors))) == [3] + [5] * 8
    events = Outbox.objects.filter(topic=ProductViewed.topic)
    for stream in Stream.objects.filter(topic=ProductViewed.topic):
        sequences = events.filter(key=stream.key).order_by("position").values_list("sequence", flat=True)
        assert list(sequences) == list(range(1, stream.last + 1))


def test_visitors_without_cookies_leave_a_bounded_number_of_streams(client: Client, mug: Product) -> None:
    views = ActivityEvent.BUCKETS + 200
    for _ in range(views):
        read(Client(), "/p/MUG/")
    streams = Stream.objects.filter(topic=ProductViewed.topic)
    assert Outbox.objects.filter(topic=ProductViewed.topic).count() == views
    assert streams.count() <= ActivityEvent.BUCKETS
    assert {stream.key for stream in streams} <= {str(bucket) for bucket in range(ActivityEvent.BUCKETS)}


def test_a_view_that_can_not_be_recorded_at_once_does_not_hold_up_the_page(client: Client, mug: Product) -> None:
    read(client, "/p/MUG/")
    locked, release = threading.Event(), threading.Event()

    def lock() -> None:
        with transaction.atomic():
            execute("select from relay_stream for update")
            locked.set()
            release.wait(60)
        connections.close_all()

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(60)
    began = time.monotonic()
    read(client, "/p/MUG/")
    assert 0.15 < time.monotonic() - began < 1
    release.set()
    thread.join()
    read(client, "/p/MUG/")
    assert Outbox.objects.count() == 2


def test_nothing_of_a_visitor_is_shown_to_another(shopper: Client, mug: Product) -> None:
    customer = Client()
    customer.force_login(User.objects.create_user("ada@example.com", "ada@example.com"))
    fresh = Client()
    fresh.post("/cart/add/", {"sku": "MUG", "quantity": 3})  # the next page shows a message once
    for address in ADDRESSES * 2:
        first, second, third = (read(visitor, address) for visitor in (customer, shopper, Client()))
        assert [read_count(html) for html in (first, second, third)] == ["0", "1", "0"]
        assert ["Account" in html for html in (first, second, third)] == [True, False, False]
        assert not any('class="messages' in html for html in (first, second, third))
    assert 'class="messages' in read(fresh, "/")
    assert 'class="messages' not in read(fresh, "/")
    assert read_count(read(fresh, "/c/kitchen/")) == "3"


def test_each_visitor_gets_a_csrf_token_of_their_own_that_is_accepted(mug: Product) -> None:
    visitors = [Client(enforce_csrf_checks=True) for _ in range(3)]
    tokens = [read_token(read(visitor, "/p/MUG/")) for visitor in visitors]
    assert len(set(tokens)) == len({visitor.cookies["csrftoken"].value for visitor in visitors}) == 3
    for visitor, token in zip(visitors, tokens, strict=True):
        form = {"sku": "MUG", "quantity": 1, "csrfmiddlewaretoken": token}
        assert visitor.post("/cart/add/", form).status_code == 302
    stolen = {"sku": "MUG", "quantity": 1, "csrfmiddlewaretoken": tokens[0]}
    assert visitors[1].post("/cart/add/", stolen).status_code == 403


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_compressed_page_is_the_same_page(client: Client, shopper: Client, address: str) -> None:
    def hide_token(html: str) -> str:
        return re.sub(r'value="\w{64}"', "", html)

    for visitor in (client, shopper):
        plain = visitor.get(address)
        packed = visitor.get(address, headers={"Accept-Encoding": "gzip"})
        assert (packed["Content-Encoding"], plain.has_header("Content-Encoding")) == ("gzip", False)
        assert "Accept-Encoding" in plain["Vary"] and "Accept-Encoding" in packed["Vary"]
        assert len(packed.content) < 0.6 * len(plain.content)
        assert hide_token(gzip.decompress(packed.content).decode()) == hide_token(plain.content.decode())


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 70_000, bytes(range(256)) * 9, b"\xff" * 200])
def test_pieces_of_any_content_make_one_gzip_file(content: bytes) -> None:
    packed = pack(content) + pack_part(content) + pack_part(content[:200])
    assert gzip.decompress(join_gzip(packed, content * 2 + content[:200])) == content * 2 + content[:200]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_shared_cache_keeps_the_pages_of_visitors_apart(shopper: Client, address: str) -> None:
    assert "Cookie" in shopper.get(address)["Vary"]


def test_a_page_depends_on_its_sort_and_number_and_on_nothing_else(
    client: Client, fill_shelf: FillShelf, rendered: list[str]
) -> None:
    fill_shelf(30)
    pages = {
        query: read(client, f"/c/kitchen/?{query}") for query in ("", "sort=-price", "page=2", "sort=-price&page=2")
    }
    assert len(set(pages.values())) == len(rendered) == 4
    assert read(client, "/c/kitchen/?utm_source=x&sort=-price") == pages["sort=-price"]
    assert len(rendered) == 4
    assert 'href="?sort=-price&amp;page=2"' in pages["sort=-price"]
    more = client.get("/c/kitchen/?page=2", headers={"HX-Request": "true", "HX-Target": "more"}).content.decode()
    assert "<html" not in more
    assert "<html" in read(client, "/c/kitchen/?page=2")


def test_memory_is_bounded(client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_pages, "MOST_PAGES", 3)
    monkeypatch.setattr(shared_pages, "CHECK_SECONDS", 0)
    for number in range(20):
        read(client, f"/c/kitchen/?page={number}")
        assert len(shared_pages._shared._pages) <= 3
    assert shared_pages._shared._pages


def test_without_database_no_page_is_shown_that_may_be_old(
    client: Client, mug: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*args: object, **options: object) -> None:
        raise OperationalError("connection refused")

    read(client, "/")
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", lose)
    assert "Made for weather" in read(client, "/")  # from the cache, which is still fresh
    time.sleep(0.5)
    page = client.get("/")
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    monkeypatch.undo()
    assert "Made for weather" in read(client, "/")
