"""Parked keys and replays in a browser: a redrive with the bug still in, an edit, a redrive after the fix, a replay.

The bug is a broken payload of an OrderPlaced in the outbox, which analytics can't read.
"""

import re

import psycopg
from playwright.sync_api import Page, expect

from shop.embedded.processes import wait_until
from tests.browser.conftest import OpenPage
from tests.browser.test_browse_to_confirmed import expect_no_sideways_scrolling
from tests.client import Customer, make_order
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop


def log_in(page: Page, address: str) -> None:
    page.goto(f"/admin/login/?next={address}")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password", exact=True).fill("operator")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{address}")


def break_order(shop: RunningShop, database: "psycopg.Connection[tuple[str, int]]") -> tuple[str, str]:
    """Place an order whose event analytics can't read; return the order's id and the payload before the change."""
    shop.part_stop("analytics")
    try:
        order = str(Customer(shop.base_url).place(make_order((find_sku(shop), 1))).body["id"])
        where = "key = %s and topic = 'shop.orders' and sequence = 1"
        sent = f"select body, position from relay_outbox where {where} and published_at is not null"  # noqa: S608
        assert wait_until(lambda: database.execute(sent, [order]).fetchone(), seconds=60)
        row = database.execute(sent, [order]).fetchone()
        assert row
        broken = row[0].replace('"currency":"EUR"', '"currency":7')
        database.execute(f"update relay_outbox set body = %s where {where}", [broken, order])  # noqa: S608
    finally:
        shop.part_start("analytics")
    parked = "select reason, 0 from relay_cursor where key = %s and consumer = 'analytics' and parked_at is not null"
    assert wait_until(lambda: database.execute(parked, [order]).fetchone(), seconds=60)
    return order, row[0]


def redrive(page: Page) -> None:
    """Choose the keys of the open cause and confirm."""
    page.get_by_role("button", name="Choose this").or_(page.get_by_role("button", name="Choose these")).click()
    page.get_by_label("Reason").fill("the browser's test")
    page.get_by_role("button", name="in stages").click()


def test_parked_keys_are_mended_and_a_replay_follows(open_page: OpenPage, running_shop: RunningShop) -> None:
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as database:
        order, body = break_order(running_shop, database)
        page = open_page()
        log_in(page, "/control/parked/")
        page.get_by_role("link", name=re.compile("analytics · OrderPlaced")).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("1 key of analytics, OrderPlaced")
        redrive(page)
        # The page follows without a reload: the live process and the consumer do the work.
        expect(page.get_by_role("heading", level=1)).to_contain_text("stopped")
        expect(page.get_by_role("heading", name="Failed again")).to_be_visible()
        page.get_by_role("link", name=order).click()
        page.get_by_text("Edit the event, then retry it").click()
        page.get_by_label("Payload").fill(body)
        page.get_by_label("Reason").fill("the currency was broken")
        page.get_by_role("button", name="Save the event and retry it").click()
        expect(page.get_by_role("status")).to_contain_text("is tried within a second")
        parked = "select 1, 1 from relay_cursor where key = %s and parked_at is not null"
        assert wait_until(lambda: not database.execute(parked, [order]).fetchone(), seconds=60)
        page.goto("/control/parked/")
        expect(page.get_by_role("heading", name="Nothing is parked")).to_be_visible()

    page.goto("/control/replay/")
    page.get_by_label("Consumer").select_option("analytics")
    page.get_by_label("From position").fill("1")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Run", exact=True)).to_be_visible()
    page.get_by_label("Reason").fill("to be sure")
    page.get_by_role("button", name=re.compile("^Replay ")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")

    # The same pages on a phone without JavaScript.
    phone = open_page(viewport={"width": 360, "height": 780}, java_script_enabled=False)
    log_in(phone, "/control/replay/")
    phone.get_by_label("Consumer").select_option("analytics")
    phone.get_by_label("From position").fill("1")
    phone.get_by_role("button", name="Dry run").click()
    phone.get_by_label("Reason").fill("from a phone")
    phone.get_by_role("button", name=re.compile("^Replay ")).click()
    while phone.get_by_role("button", name="Continue").count():
        phone.get_by_role("button", name="Continue").click()
    expect(phone.get_by_role("heading", level=1)).to_contain_text("done")
    addresses = [phone.url, "/control/parked/", "/control/replay/"]
    phone.goto("/control/parked/")
    addresses += [link.get_attribute("href") or "" for link in phone.get_by_role("link", name="Redrive ").all()]
    for address in addresses:
        phone.goto(address)
        expect_no_sideways_scrolling(phone)
