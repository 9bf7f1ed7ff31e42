"""The lab in a browser: start, the difference, the banner on all pages, and the end, at 1280 and 360 px."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.running_shop import RunningShop


def log_in(page: Page) -> None:
    page.goto("/admin/login/?next=/lab/")
    page.locator("input[name=username]").fill("staff")
    page.locator("input[name=password]").fill("staff")
    page.locator("input[name=password]").press("Enter")
    page.wait_for_url("**/lab/")


def test_staff_switch_payments_off_and_see_the_difference(open_page: OpenPage, running_shop: RunningShop) -> None:
    page = open_page()
    log_in(page)
    page.get_by_role("spinbutton", name="Orders per second").fill("5")
    page.get_by_label("Time factor").select_option("60")
    page.get_by_role("button", name="Free run").click()
    ours, theirs = page.locator("[data-shop=ours]"), page.locator("[data-shop=seed]")
    expect(ours).to_contain_text("Thank you, we have your order")
    expect(theirs).to_contain_text("Thank you! Your order is confirmed and paid")
    form = page.locator(".lab-switches form", has=page.locator("input[value=payments]"))
    form.get_by_label("Minutes that payments is off").select_option("30")  # half a real minute
    form.get_by_role("button", name="payments off").click()
    # The page refreshes itself: nobody reloads it.
    expect(theirs).to_contain_text("Something went wrong, please try again")
    expect(theirs.locator(".bad", has_text="Lost sales")).to_be_visible()
    expect(page.get_by_text("payments is switched off in both shops")).to_be_visible()
    expect(ours).to_contain_text("Thank you, we have your order")
    expect(ours).not_to_contain_text("Something went wrong")

    visitor = open_page(viewport={"width": 360, "height": 800}, java_script_enabled=False)
    for path in ("/", "/p/MATCH-LANG/", "/cart/"):
        visitor.goto(path)
        expect(visitor.locator(".lab-banner")).to_contain_text("Lab: payments switched off until")
        assert visitor.evaluate("document.documentElement.scrollWidth") <= 360

    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_role("heading", name=re.compile(r"^Run \d+: Free run, stopped"))).to_be_visible()
    visitor.goto("/")
    expect(visitor.locator(".lab-banner")).to_have_count(0)
    assert running_shop.list_parts()["payments"]["state"] != "stopped"
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_lab_works_without_javascript(open_page: OpenPage) -> None:
    with_script = open_page()  # the admin's log-in page needs JavaScript
    log_in(with_script)
    page = open_page(viewport={"width": 360, "height": 800}, java_script_enabled=False)
    page.context.add_cookies(with_script.context.cookies())  # type: ignore[arg-type]
    page.goto("/lab/")
    page.get_by_label("Time factor").select_option("60")
    page.get_by_role("button", name="Free run").click()
    # The page loads again every three seconds.
    expect(page.locator("[data-shop=ours]")).to_contain_text("Thank you, we have your order")
    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_role("heading", name=re.compile(r"Free run, stopped"))).to_be_visible()
