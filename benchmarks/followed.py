"""Time from the commit of a saga's step to the change of the order page in Chromium, with the time of each stage.

PostgreSQL stores the times of commits, the page's script notes its own times, and both use this machine's clock.
"""

import asyncio
import shutil
from typing import Any

import psycopg
from playwright.async_api import Browser, async_playwright

from benchmarks.backlog import Catalogue
from tests.client import Customer
from tests.running_shop import RunningShop

#: Pages that are open at the same time. Chromium draws them on the cores that the shop needs.
TABS = 1
#: The gateway answers this card after three seconds: the page is open before its order is confirmed.
CARD = "tok_slow"
STAGES = ("commit to bell", "bell to request", "request to answer", "answer to page")
_NOTE = """
(() => {
  const notes = (window.notes = { bell: [], request: [], answer: [], page: [] });
  const note = (what) => notes[what].push(Date.now());
  const isConfirmed = () => document.getElementById("progress-head")?.textContent === "Your order is confirmed";
  const Native = window.EventSource;
  window.EventSource = class extends Native {
    constructor(...values) {
      super(...values);
      this.addEventListener("order", () => note("bell"));
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    if (isConfirmed()) return;
    const of = (event, what) => event.detail.elt.id === "progress" && note(what);
    document.body.addEventListener("htmx:beforeRequest", (event) => of(event, "request"));
    document.body.addEventListener("htmx:beforeOnLoad", (event) => of(event, "answer"));
    const observer = new MutationObserver(() => {
      if (!isConfirmed()) return;
      note("page");
      observer.disconnect();
    });
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  });
})();
"""
_COMMITTED = """
select extract(epoch from pg_xact_commit_timestamp(xmin))::float8 from orders_transition
where order_id = %s and before = 'placed' and after = 'confirmed'
"""


def keep_commit_times(shop: RunningShop) -> None:
    """Let PostgreSQL store the times of commits."""
    with psycopg.connect(shop.addresses["postgres"], autocommit=True) as db:
        db.execute("alter system set track_commit_timestamp = on")
    shop.part_stop("postgres")
    shop.part_start("postgres")


async def follow_orders(shop: RunningShop, catalogue: Catalogue, count: int) -> list[dict[str, float]]:
    """Place `count` orders, open the page of each, and return the milliseconds of each stage and in total."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--headless=new", "--disable-gpu"]
        )
        waiting = asyncio.Semaphore(TABS)

        async def follow() -> dict[str, float] | None:
            async with waiting:
                return await follow_order(browser, shop, catalogue)

        found = await asyncio.gather(*(follow() for _ in range(count)))
        await browser.close()
    return [times for times in found if times]


async def follow_order(browser: Browser, shop: RunningShop, catalogue: Catalogue) -> dict[str, float] | None:
    """Return the times of one order, or None if its page was open only after the order was confirmed."""
    body = {**catalogue.make_body(), "payment_token": CARD}
    order = (await asyncio.to_thread(Customer(shop.base_url).place, body)).body
    context = await browser.new_context(base_url=shop.base_url)
    try:
        page = await context.new_page()
        await page.add_init_script(_NOTE)
        page.set_default_timeout(60_000)
        await page.goto(f"/orders/{order['id']}/?token={order['access_token']}", wait_until="domcontentloaded")
        await page.locator("#progress-head", has_text="Your order is confirmed").wait_for()
        notes = await page.evaluate("window.notes")
    finally:
        await context.close()
    return find_stages(read_commit(shop, order["id"]), notes) if notes["page"] else None


def read_commit(shop: RunningShop, order: str) -> float:
    """Return the time at which the saga's transaction that confirmed `order` was committed, in milliseconds."""
    with psycopg.connect(shop.addresses["postgres"]) as db:
        row = db.execute(_COMMITTED, [order]).fetchone()
    assert row, f"the order {order} was not confirmed"
    return 1000 * float(row[0])


def find_stages(committed: float, notes: dict[str, Any]) -> dict[str, float]:
    """Return the length of each stage. The page's change belongs to the latest answer, request and bell before it."""
    times = [notes["page"][0]]
    for what in ("answer", "request", "bell"):
        times.append(max((at for at in notes[what] if at <= times[-1]), default=times[-1]))
    times = [committed, *reversed(times)]
    stages = {name: times[n + 1] - times[n] for n, name in enumerate(STAGES)}
    return {**stages, "total": times[-1] - committed}
