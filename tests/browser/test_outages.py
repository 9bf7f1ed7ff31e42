"""An outage in a browser: the consumer's page for staff, and the order page of a customer who waits."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.test_live_pages import place_order
from tests.running_shop import RunningShop

STAFF, PASSWORD = "operator-ada", "difference-engine-1843"
CREATE = f"""
from django.contrib.auth.models import User
User.objects.filter(username={STAFF!r}).exists() or User.objects.create_superuser({STAFF!r}, password={PASSWORD!r})
"""


def log_in(page: Page) -> None:
    page.goto("/admin/login/?next=/control/consumers/")
    page.locator("[name=username]").fill(STAFF)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[type=submit]").click()
    page.wait_for_url("**/control/consumers/")


def test_staff_pause_a_consumer_and_the_customer_sees_why_the_order_waits(
    open_page: OpenPage, running_shop: RunningShop
) -> None:
    created = running_shop.manage("shell", "-c", CREATE)
    assert created.returncode == 0, created.stderr
    staff = open_page()
    log_in(staff)
    staff.get_by_role("main").get_by_role("link", name="inventory").first.click()
    expect(staff.get_by_role("heading", level=1)).to_have_text("Inventory")
    expect(staff.locator("figure.chart .uplot")).to_be_visible()  # under the strict policy
    expect(staff.get_by_role("img", name=re.compile("^lag "))).to_be_visible()
    staff.get_by_label("Reason of the pause").fill("stock count")
    staff.get_by_role("button", name="Pause inventory").click()
    try:
        expect(staff.get_by_role("status").first).to_contain_text("inventory is paused until a person resumes it.")
        customer = open_page()
        place_order(customer)
        customer.evaluate("window.wasNotReloaded = true")
        message = customer.locator("#waiting")
        expect(message).to_contain_text("Your order is safe: we have stored it", timeout=60_000)
        expect(message).to_contain_text("The stock check is")
        # Staff see the outage without a reload, with and without JavaScript, on a wide and on a narrow screen.
        expect(staff.locator("#state")).to_contain_text("Paused since")
        expect(staff.locator("#room")).to_contain_text("until now")
        phone = open_page(java_script_enabled=False, viewport={"width": 360, "height": 780})
        session: Any = staff.context.cookies()  # the admin's log-in page needs JavaScript
        phone.context.add_cookies(session)
        phone.goto("/control/consumers/inventory/?span=6h")
        expect(phone.locator("figure.chart svg polyline")).not_to_have_count(0)
        expect(phone.locator("#state")).to_contain_text("stock count")
        phone.get_by_text("Figures of the chart").click()
        expect(phone.get_by_role("columnheader", name="Most waiting").first).to_be_visible()
        phone.get_by_role("button", name="Resume inventory").click()
        expect(phone.get_by_role("status").first).to_contain_text("inventory is resumed.")
    finally:
        running_shop.manage("relay_resume", "inventory")
    expect(customer.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
    expect(message).to_have_count(0)
    assert customer.evaluate("window.wasNotReloaded"), "the page was loaded again"
    staff.set_viewport_size({"width": 360, "height": 780})
    for address in ("/control/consumers/", "/control/consumers/inventory/"):
        staff.goto(address)
        expect_accessible(staff)
