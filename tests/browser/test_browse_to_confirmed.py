"""A visitor's steps in a browser: browse, search, fill the cart, check out, and watch the confirmation."""

import re

from playwright.sync_api import Page, expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import PATIENCE_MS, OpenPage

PERSON = {
    "E-mail": "kari@example.org",
    "Full name": "Kari Nordmann",
    "Street and number": "Strandgata 12",
    "Postal code": "5003",
    "City": "Bergen",
}
expect.set_options(timeout=PATIENCE_MS)


def fill_in(page: Page, card: str = "Test card that works") -> None:
    """Fill in the form of the checkout."""
    for label, value in PERSON.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Country").select_option("NO")
    page.locator("label", has_text=card).click()


def test_browse_search_buy_and_watch_the_order_become_confirmed(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Made for weather")
    expect(page.locator("#stock-TENT-HULDER-6")).to_have_text(re.compile("left|In stock|Sold out"))

    page.get_by_role("searchbox").fill("enamel mug")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Results for “enamel mug”")
    page.get_by_role("link", name="Midnight Enamel Mug").click()
    expect(page.locator("#stock-MUG-MIDNIGHT")).to_have_text("In stock")
    page.get_by_label("Quantity").fill("3")
    page.get_by_role("button", name="Add to cart").click()
    expect(page.locator("#added")).to_contain_text("to your cart")
    expect(page.locator("#cart-count")).to_contain_text("3")

    page.get_by_role("link", name="See the cart").click()
    page.get_by_label("Quantity of Midnight Enamel Mug").fill("2")
    page.get_by_label("Quantity of Midnight Enamel Mug").press("Tab")
    expect(page.locator(".sums__total")).to_contain_text("€32.90")  # with the shipping
    expect(page.locator("#cart-count")).to_contain_text("2")

    page.get_by_role("link", name="To the checkout").click()
    expect(page.locator("#summary")).to_contain_text("€6.58")  # the tax of Norway …
    page.get_by_label("Country").select_option("DE")
    expect(page.locator("#summary")).to_contain_text("€5.25")  # … and the tax of Germany
    fill_in(page)
    expect(page.locator("#summary")).to_contain_text("€6.58")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url(re.compile(r"/orders/[0-9a-f-]{36}/$"))
    page.evaluate("window.wasNotReloaded = true")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
    expect(page.locator(".step--done", has_text="Confirmed")).to_be_visible()
    expect(page.locator(".order-message", has_text="is confirmed")).to_be_visible()
    assert page.evaluate("window.wasNotReloaded"), "the page was loaded again"
    expect(page.locator("#cart-count")).to_contain_text("0")


def test_a_declined_card_cancels_the_order_before_the_customers_eyes(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/p/SOAP-TJAERE/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="See the cart").click()
    page.get_by_role("link", name="To the checkout").click()
    fill_in(page, "Test card that is declined")
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order was cancelled")
    expect(page.locator(".lead")).to_contain_text("Your bank declined the payment")


def test_a_double_click_places_one_order(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/p/MATCH-LANG/")
    page.get_by_role("button", name="Add to cart").click()
    page.get_by_role("link", name="See the cart").click()
    page.get_by_role("link", name="To the checkout").click()
    fill_in(page)
    placed: list[str] = []
    page.on("response", lambda answer: placed.append(answer.headers.get("location", "")))
    page.get_by_role("button", name="Place the order").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
    assert {place for place in placed if place} == {page.url.removeprefix(page.url.split("/orders/")[0])}
    # A customer who goes back finds an empty cart, and no form to send again.
    page.goto("/checkout/")
    expect(page.get_by_role("heading", level=2)).to_have_text("Your cart is empty")


def test_at_phone_width_nothing_sticks_out_on_the_way_to_an_order(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)
    for address in ("/", "/c/camp-kitchen/", "/search/?q=wool", "/search/?q=hovercraft", "/cart/", "/p/BEANIE-TOPP/"):
        page.goto(address)
        expect_accessible(page)
    page.get_by_role("button", name="Add to cart").tap()
    page.get_by_role("link", name="See the cart").tap()
    expect(page.locator(".line")).to_be_visible()
    expect_accessible(page)
    page.get_by_role("link", name="To the checkout").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")
    expect_accessible(page)
    fill_in(page)
    page.get_by_role("button", name="Place the order").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
    expect_accessible(page)


def test_without_javascript_an_order_is_placed_and_seen_to_its_confirmation(open_page: OpenPage) -> None:
    page = open_page(java_script_enabled=False)
    page.goto("/")
    page.get_by_role("searchbox").fill("blanket")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name="Ull Wool Blanket").click()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_role("status")).to_contain_text("Ull Wool Blanket is in your cart.")
    page.get_by_label("Quantity of Ull Wool Blanket").fill("2")
    page.get_by_role("button", name="Update").click()
    expect(page.locator(".sums__total")).to_contain_text("€258.00")
    page.get_by_role("link", name="To the checkout").click()
    page.get_by_role("button", name="Place the order").click()
    expect(page.get_by_role("alert")).to_contain_text("E-mail is missing.")
    fill_in(page)
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url(re.compile(r"/orders/[0-9a-f-]{36}/$"))
    # The page refreshes automatically, without a click.
    expect(page.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")


def test_show_more_adds_products_in_place(open_page: OpenPage) -> None:
    page = open_page()
    page.goto("/search/?q=a")
    cards = page.locator(".card")
    before = cards.count()
    page.get_by_role("link", name="Show more").click()
    expect(cards).not_to_have_count(before)
    expect(page.locator(".card .stock").last).to_have_text(re.compile("left|In stock|Sold out"))
    assert page.url.endswith("/search/?q=a")
