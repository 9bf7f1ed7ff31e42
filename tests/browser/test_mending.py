"""Parked keys and replays in a browser: a redrive with the bug still in, an edit, a redrive after the fix, a replay.

The bug is a broken payload of an OrderPlaced in the outbox, which analytics can't read.
"""

import re
from typing import Any

import psycopg
from playwright.sync_api import Page, expect

from shop.embedded.processes import wait_until
from tests.browser.accessibility import expect_accessible, expect_no_sideways_scrolling
from tests.browser.conftest import OpenPage
from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


def log_in(page: Page, address: str) -> None:
    page.goto(f"/admin/login/?next={address}")
    page.locator("input[name=username]").fill("operator")
    page.locator("input[name=password]").fill("operator")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{address}")


Database = psycopg.Connection[tuple[Any, ...]]
SENT = """select body, position from relay_outbox where key = %s and topic = 'shop.orders' and sequence = 1
          and published_at is not null"""
APPLIED = "select array_agg(consumer order by consumer) from relay_cursor where key = %s and topic = 'shop.orders'"
STUCK = "select from relay_cursor where key = %s and consumer = 'analytics' and parked_at is not null"


def place_order(shop: RunningShop, database: Database) -> tuple[str, str, int]:
    """Place an order, and wait until Kafka has its event; return the order's id, the payload and the position."""
    order = str(Customer(shop.base_url).place(make_order((find_sku(shop), 1))).body["id"])
    assert wait_until(lambda: database.execute(SENT, [order]).fetchone() is not None, seconds=60)
    row = database.execute(SENT, [order]).fetchone()
    assert row
    return order, str(row[0]), int(str(row[1]))


def break_order(shop: RunningShop, database: Database) -> tuple[str, str]:
    """Place an order whose event analytics can't read; return the order's id and the payload before the change."""
    shop.part_stop("analytics")
    try:
        order, body, position = place_order(shop, database)
        # A consumer that reads the event after the change would park it, too.
        others = ["bought_together", "inventory", "notifications", "payments"]
        assert wait_until(lambda: database.execute(APPLIED, [order]).fetchone() == (others,), seconds=60)
        broken = body.replace('"currency":"EUR"', '"currency":7')
        database.execute("update relay_outbox set body = %s where position = %s", [broken, position])
    finally:
        shop.part_start("analytics")
    assert wait_until(lambda: database.execute(STUCK, [order]).fetchone() is not None, seconds=60)
    return order, body


def begin_replay(page: Page, position: int) -> None:
    """Make a dry run of analytics for the event at `position`, and start the run."""
    page.goto("/control/replay/")
    page.get_by_label("Consumer").select_option("analytics")
    page.get_by_label("From position").fill(str(position))
    page.get_by_label("To position").fill(str(position))  # later events would change the figures after the dry run
    page.get_by_role("button", name="Dry run").click()
    page.get_by_label("Reason").fill("analytics has missed an order")
    page.get_by_role("button", name=re.compile("^Replay ")).click()


def test_a_parked_key_is_mended(open_page: OpenPage, running_shop: RunningShop) -> None:
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as database:
        order, body = break_order(running_shop, database)
        page = open_page()
        log_in(page, "/control/parked/")
        page.get_by_role("link", name=re.compile("analytics · OrderPlaced")).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1 key of analytics, OrderPlaced")
        page.get_by_role("button", name="Choose this 1 key").click()
        page.get_by_label("Reason").fill("I hope that it is fixed")
        page.get_by_role("button", name="in stages").click()
        # The page follows without a reload: the live process and the consumer do the work.
        expect(page.get_by_role("heading", level=1)).to_contain_text("stopped")
        page.get_by_role("link", name=order).click()
        page.get_by_text("Edit the event, then retry it").click()
        page.get_by_label("Payload").fill(body)
        page.get_by_label("Reason").fill("the currency was broken")
        page.get_by_role("button", name="Save the event and retry it").click()
        expect(page.get_by_role("status")).to_contain_text("is tried within a second")
        assert wait_until(lambda: database.execute(STUCK, [order]).fetchone() is None, seconds=60)
    page.goto("/control/parked/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("analytics · OrderPlaced"))).to_have_count(0)


def test_a_replay_applies_what_is_missing_with_and_without_javascript(
    open_page: OpenPage, running_shop: RunningShop
) -> None:
    running_shop.part_stop("analytics")
    try:
        with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as database:
            page = open_page()
            log_in(page, "/control/replay/")
            begin_replay(page, place_order(running_shop, database)[2])
            expect(page.get_by_role("heading", level=1)).to_contain_text("done")

            # The log-in of the admin needs JavaScript, so the phone takes over the session.
            session = page.context.storage_state()
            phone = open_page(viewport={"width": 360, "height": 780}, java_script_enabled=False, storage_state=session)
            begin_replay(phone, place_order(running_shop, database)[2])
            while phone.get_by_role("button", name="Continue").count():
                phone.get_by_role("button", name="Continue").click()
            expect(phone.get_by_role("heading", level=1)).to_contain_text("done")
    finally:
        running_shop.part_start("analytics")
    for address in [phone.url, "/control/parked/", "/control/replay/"]:
        phone.goto(address)
        expect_no_sideways_scrolling(phone)
    for address in ["/control/parked/", "/control/replay/"]:
        page.goto(address)
        expect_accessible(page)
