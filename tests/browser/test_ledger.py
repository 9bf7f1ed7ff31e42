"""The ledger's page in a running shop: calm, with a removed effect, and with a full verification."""

import json
import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.client import Customer, make_order
from tests.control.samples import wait_for_sample
from tests.faults.counting import connect
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

#: Makes the checks of analytics that contain an order's events the oldest ones.
MAKE_OLDEST = """
update control_ledgercheck set audited_at = audited_at - interval '1 day' where part = 'analytics' and window_id in (
    select w.id from control_ledgerwindow w join relay_outbox o on o.position > w.after and o.position <= w.until
    where o.key = %s
)
"""


def log_in(page: Page) -> None:
    page.goto("/admin/login/?next=/control/ledger/")
    page.get_by_label("Username").fill("staff")
    page.get_by_label("Password").fill("staff")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/control/ledger/")


def read_ledger(shop: RunningShop) -> tuple[dict[str, object], int]:
    """Return the ledger of the newest sample, and the exit code of the command."""
    shown = shop.manage("control", "--ledger", "--json")
    return json.loads(shown.stdout or "{}"), shown.returncode


def test_the_ledger_shows_calm_a_removed_effect_and_the_verification(
    open_page: OpenPage, running_shop: RunningShop
) -> None:
    customer = Customer(running_shop.base_url)
    placed = customer.place(make_order((find_sku(running_shop), 1)))
    customer.wait_for(placed, "confirmed")
    number = placed.body["number"]

    def is_balanced() -> bool:
        ledger, code = read_ledger(running_shop)
        return code == 0 and bool(ledger.get("committed")) and ledger["in_flight"] == 0

    assert wait_for_sample(running_shop, is_balanced, seconds=90)
    page, small = open_page(), open_page(viewport={"width": 360, "height": 800})
    log_in(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("● Nothing is lost, nothing is doubled")
    expect(page.get_by_role("region", name="Parts").get_by_role("rowheader", name="analytics")).to_be_visible()
    with connect(running_shop) as db:
        find = "select placed_at from analytics_orderfact where order_id = %s"
        row = db.execute(find, [placed.body["id"]]).fetchone()
        assert row
        change = "update analytics_orderfact set placed_at = %s where order_id = %s"
        db.execute(change, [None, placed.body["id"]])
        # The ledger repeats the oldest check first. On a busy machine a repetition of all checks takes minutes.
        db.execute(MAKE_OLDEST, [placed.body["id"]])
        try:
            # The page follows without a reload.
            expect(page.get_by_role("heading", level=1)).to_have_text("1 lost, 0 doubled", timeout=90_000)
            expect(page.locator(".difference")).to_contain_text(number)
            ledger, code = read_ledger(running_shop)
            assert (ledger["lost"], code) == (1, 1)
            log_in(small)
            expect(small.locator(".difference")).to_contain_text("effect missing")
            assert small.evaluate("document.documentElement.scrollWidth") == 360
            small.get_by_role("link", name="Accept these differences").click()
            expect(small.get_by_role("heading", level=1, name="Accept 1 difference")).to_be_visible()
        finally:
            db.execute(change, [row[0], placed.body["id"]])
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Nothing is lost"), timeout=90_000)
    page.get_by_text("Differences that ended").click()
    expect(page.get_by_text("healed after").first).to_be_visible()
    page.get_by_label("Reason").fill("after the repair")
    page.get_by_role("button", name="Run it now").click()
    expect(page.get_by_text("A full verification is requested")).to_be_visible()
    expect(page.locator("#verification-state")).to_contain_text("after the repair")
    expect(page.locator("#verification-state")).to_contain_text(
        re.compile("No difference|differences?"), timeout=120_000
    )
