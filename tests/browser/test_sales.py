"""The sales page in a browser: a customer's order appears without a reload, on a wide and on a narrow screen."""

from playwright.sync_api import expect

from shop.embedded.addresses import DEMO_PASSWORD, DEMO_USER
from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import PATIENCE_MS, OpenPage
from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


def test_an_order_appears_on_the_sales_page_without_a_reload(open_page: OpenPage, running_shop: RunningShop) -> None:
    page = open_page()
    page.goto("/admin/login/?next=/control/sales/%3Fspan=hour")
    page.locator("[name=username]").fill(DEMO_USER)
    page.locator("[name=password]").fill(DEMO_PASSWORD)
    page.locator("[type=submit]").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sales")
    page.evaluate("window.wasNotReloaded = true")
    Customer(running_shop.base_url).place(make_order((find_sku(running_shop), 1)))
    expect(page.locator("#orders-EUR")).to_have_text("Orders", timeout=PATIENCE_MS)  # an empty shop had no chart
    expect(page.locator("#complete")).to_contain_text("Complete until")
    definition = page.locator("#about-headline")
    definition.locator("summary").click()
    shown = page.locator("#age").inner_text()
    expect(page.locator("#age")).not_to_have_text(shown, timeout=PATIENCE_MS)  # the figures were refreshed
    expect(definition.get_by_role("link", name="CSV file")).to_be_visible()  # and the definition stays open
    assert page.evaluate("window.wasNotReloaded"), "the page was loaded again"
    expect_accessible(page)
    phone = open_page(java_script_enabled=False, viewport={"width": 360, "height": 780})
    phone.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    phone.goto("/control/sales/?span=hour")
    expect(phone.locator("figure.chart svg rect")).not_to_have_count(0)
    phone.locator("#about-pace summary").click()
    phone.get_by_role("link", name="Rows behind “Orders and revenue”").click()
    expect(phone.get_by_role("heading", name="Orders placed in the period")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 780})
    for address in ("/control/sales/", "/control/sales/pace/?span=hour"):
        page.goto(address)
        expect_accessible(page)
