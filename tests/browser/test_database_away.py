"""While PostgreSQL is frozen, each page says so; afterwards an open page continues without a reload."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from playwright.sync_api import expect

from tests.browser.accessibility import expect_accessible
from tests.browser.conftest import OpenPage
from tests.browser.test_live_pages import place_order
from tests.client import call
from tests.running_shop import RunningShop


@contextmanager
def frozen(shop: RunningShop) -> Iterator[None]:
    """Freeze all processes of PostgreSQL: it accepts connections, and answers nothing."""
    server = psutil.Process(shop.list_parts()["postgres"]["pid"])
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def test_each_page_says_that_the_database_is_away_and_an_open_page_continues(
    open_page: OpenPage, running_shop: RunningShop
) -> None:
    staff, customer = open_page(tolerates="503"), open_page(tolerates="503")
    staff.goto("/admin/login/?next=/control/")
    staff.get_by_label("Username").fill("staff")
    staff.get_by_label("Password").fill("staff")
    staff.get_by_role("button", name="Log in").click()
    expect(staff.get_by_role("heading", level=2, name="Consumers")).to_be_visible()
    for width in (1280, 360):
        staff.set_viewport_size({"width": width, "height": 800})
        expect_accessible(staff)
    running_shop.part_stop("orders")
    try:
        place_order(customer)
        expect(customer.get_by_role("heading", level=1)).to_have_text("We have your order")
        path = customer.url.removeprefix(running_shop.base_url)
        other = customer.context.new_page()
        with frozen(running_shop):
            for page, address in (
                (other, "/"),
                (other, path),
                (other, "/cart/"),
                (staff, "/control/"),
                (staff, "/admin/"),
            ):
                answer = page.goto(address)
                assert answer
                assert (address, answer.status, answer.headers["retry-after"]) == (address, 503, "5")
                expect(page.get_by_role("heading", level=1)).to_have_text("Back in a moment")
            expect_accessible(other)
            problem = call("GET", f"{running_shop.base_url}/api/v1{path}")
            assert (problem.status, problem.headers["content-type"]) == (503, "application/problem+json")
            assert call("GET", f"{running_shop.base_url}/healthz").status == 503
        expect(customer.get_by_role("heading", level=1)).to_have_text("We have your order")
    finally:
        running_shop.part_start("orders")
    expect(customer.get_by_role("heading", level=1)).to_have_text("Your order is confirmed")
