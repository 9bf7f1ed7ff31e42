"""The recorder in a browser: it follows an order, also without JavaScript, and fits a phone."""

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible, expect_no_sideways_scrolling
from tests.browser.conftest import OpenPage
from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


def log_in(page: Page) -> None:
    """Log the demo's superuser in."""
    page.goto("/admin/login/?next=/control/orders/")
    page.locator("[name=username]").fill("staff")
    page.locator("[name=password]").fill("staff")
    page.locator("button[type=submit]").first.click()
    page.wait_for_url("**/control/orders/")


def test_the_recorder_follows_an_order_and_needs_no_javascript(open_page: OpenPage, running_shop: RunningShop) -> None:
    page, plain = open_page(), open_page(java_script_enabled=False, viewport={"width": 360, "height": 800})
    log_in(page)
    # The admin's log-in needs JavaScript.
    plain.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    plain.goto("/control/orders/")
    running_shop.part_stop("payments")
    try:
        placed = Customer(running_shop.base_url).place(make_order((find_sku(running_shop), 1)))
        number = placed.body["number"]
        for visitor in (page, plain):
            visitor.get_by_label("Order number").fill(placed.body["id"])
            visitor.get_by_role("button", name="Find").click()
            expect(visitor.get_by_role("heading", level=1)).to_have_text(f"Order {number}")
            expect(visitor.locator(".mark--waiting").first).to_be_attached()
            expect(visitor.locator(".moment--waiting", has_text="payments").first).to_contain_text("OrderPlaced")
        page.evaluate("window.wasNotReloaded = true")
    finally:
        running_shop.part_start("payments")
    expect(page.get_by_role("status")).to_contain_text("Each step so far is done")
    assert page.evaluate("window.wasNotReloaded"), "the page was loaded again"
    for visitor in (page, plain):
        expect(visitor.get_by_role("status")).to_contain_text("Each step so far is done")
        expect(visitor.locator(".moment", has_text="gateway").last).to_contain_text("approved")
        assert visitor.locator(".mark").count() == visitor.locator(".moment").count()
        visitor.get_by_role("link", name="Open the payload of event 1", exact=True).click()
        expect(visitor.locator(".payload")).to_contain_text("payment_reference")
        expect_no_sideways_scrolling(visitor)
    page.set_viewport_size({"width": 360, "height": 800})
    expect_accessible(page)
