"""Accessibility of a page: axe-core's rules, and no sideways scrolling. One line in the test of each page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def expect_accessible(page: Page) -> None:
    """Check the page as it is now: axe-core finds no violation, and the page is not wider than the window.

    axe-core checks WCAG 2 A and AA (contrast, labels, roles, ...) and its own best practices. The report names the
    rule, the element and how to repair it.
    """
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"
    expect_no_sideways_scrolling(page)


def expect_no_sideways_scrolling(page: Page) -> None:
    """Check that the page is not wider than the window. A page without JavaScript can't run axe-core."""
    assert page.viewport_size
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], page.url
