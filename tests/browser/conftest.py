"""A browser: Debian's Chromium, controlled by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.running_shop import RunningShop

OpenPage = Callable[..., Page]
# A machine with two cores runs a dozen processes next to the browser, so waits must be long.
PATIENCE_MS = 30_000


def find_chromium() -> str:
    """Return the path of Chromium. Without Chromium, skip the test, or fail it in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        message = "Chromium is missing: install it with `apt-get install chromium` to run the browser tests"
        (pytest.fail if os.environ.get("CI", "").lower() in ("1", "true") else pytest.skip)(message)
    assert path
    return path


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Run Chromium for the tests of this folder only, because Playwright's event loop makes Django refuse queries."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, running_shop: RunningShop) -> Iterator[OpenPage]:
    """Return a function that opens a page for a new visitor. Errors and warnings of the browser fail the test.

    With `tolerates`, those that contain this text do not.
    """
    complaints: list[str] = []
    contexts = []
    # Leaving a page may abort a poll, and an invalid form is answered with 422.
    expected = ["ERR_ABORTED", "status of 422"]

    def open_for_visitor(*, tolerates: str = "", **options: Any) -> Page:
        expected.extend([tolerates] if tolerates else [])
        context = chromium.new_context(
            base_url=running_shop.base_url, **{"viewport": {"width": 1280, "height": 900}, **options}
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda entry: complaints.append(entry.text) if entry.type in ("error", "warning") else None)
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url} {request.failure}"))
        return page

    yield open_for_visitor
    for context in contexts:
        context.close()
    assert [text for text in complaints if not any(known in text for known in expected)] == []
