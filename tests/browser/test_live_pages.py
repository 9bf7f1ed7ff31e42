"""Pages that follow orders: by the stream, without it, and the list of a customer's orders."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.test_browse_to_confirmed import fill_in
from tests.running_shop import RunningShop


def place_order(page: Page) -> None:
    page.goto("/p/MATCH-LANG/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="See the cart").click()
    page.get_by_role("link", name="To the checkout").click()
    fill_in(page)
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url(re.compile(r"/orders/[0-9a-f-]{36}/$"))


def test_the_order_page_follows_by_the_stream(open_page: OpenPage, running_shop: RunningShop) -> None:
    page = open_page()
    streams: list[str] = []
    page.on("response", lambda answer: streams.append(answer.url) if "/live/orders/" in answer.url else None)
    # The page's clock shows no second, so it never polls: only the stream can bring the change.
    page.clock.install()
    page.goto("/")
    running_shop.part_stop("orders")
    try:
        place_order(page)
        page.clock.pause_at(page.evaluate("Date.now()") + 3000)
        expect(page.get_by_role("heading", level=1)).to_have_text("We have your order")
        assert [url for url in streams if url.endswith(page.url.rstrip("/").rpartition("/")[2])]
    finally:
        running_shop.part_start("orders")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")


def test_the_order_page_polls_while_there_is_no_stream(open_page: OpenPage, running_shop: RunningShop) -> None:
    page = open_page()
    page.add_init_script("delete window.EventSource")
    running_shop.part_stop("orders")
    try:
        place_order(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("We have your order")
    finally:
        running_shop.part_start("orders")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_list_of_orders_follows_too(open_page: OpenPage, running_shop: RunningShop, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    email = f"kari-{width}@example.org"
    page.goto("/register/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("difference-engine-1843")
    page.get_by_role("button", name="Create the account").click()
    page.wait_for_url("**/orders/")
    place_order(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
    order = page.url
    expect_accessible(page)
    page.goto("/orders/")
    expect(page.locator(".orders__status")).to_have_text("Confirmed")
    expect_accessible(page)
    other = page.context.new_page()
    other.goto(order)
    other.get_by_text("Cancel this order").click()
    other.get_by_role("button", name="Yes, cancel it").click()
    other.wait_for_load_state()
    page.bring_to_front()
    expect(page.locator(".orders__status")).to_have_text("Cancelled")
