"""A browser as visitors have one: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.running_shop import RunningShop

OpenPage = Callable[..., Page]
# A busy machine with two cores starts a dozen processes beside the browser.
PATIENCE_MS = 30_000


def find_chromium() -> str:
    """Return the path of Chromium, or skip; under CI a missing browser is a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        message = "NO BROWSER: install Chromium (apt-get install chromium) to see the shop as a visitor does"
        (pytest.fail if os.environ.get("CI", "").lower() in ("1", "true") else pytest.skip)(message)
    assert path
    return path


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Run Chromium for this folder only: while it runs, Django takes everything for asynchronous."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, running_shop: RunningShop) -> Iterator[OpenPage]:
    """A function that opens a page for a new visitor. Whatever the browser complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_for_visitor(**options: Any) -> Page:
        context = chromium.new_context(
            base_url=running_shop.base_url, **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url} {request.failure}"))
        return page

    yield open_for_visitor
    for context in contexts:
        context.close()
    # A poll may be under way when a page is left, and a form that was filled in wrongly is answered with 422.
    expected = ("ERR_ABORTED", "status of 422")
    assert [said for said in complaints if not any(known in said for known in expected)] == []
