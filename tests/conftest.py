"""Fixtures for all tests. One running shop serves all tests; its PostgreSQL also contains Django's test database."""

import gc
import os
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from payments.sandbox.books import close_idle_books
from shop.celery import app as celery_app
from tests.emptying import empty_filled_tables
from tests.gateway import serve_gateway
from tests.running_shop import RunningShop

#: Append-only tables, with the triggers that refuse TRUNCATE.
NOT_TRUNCATED = {
    "audit_staffaction": "staffaction_not_truncated",
    "relay_intervention": "intervention_not_truncated",
}
# Cheap tests run first, then tests that kill services of the shared shop. Last are the tests with own shops.
ORDER = ["relay", "flows", "browser", "faults", "embedded"]
#: The groups of `make test` that take longest, in the order in which they begin.
LONGEST = [
    *("whole shop", "whole shop of pages", "test_three_brokers", "parts faults", "parts relay"),
    *("test_secure_shop", "parts control", "test_new_secret_key"),
]
# Folders whose modules start shops of their own, except tests that use `running_shop` or `parts`.
OWN_SHOPS = {"embedded", "faults", "runbooks"}
#: Folders whose tests of a whole shop are mainly about its pages.
PAGES = {"browser", "control", "lab", "live"}
# Failed assertions of these helpers show their values, like those of tests.
pytest.register_assert_rewrite("tests.faults.counting")
#: The parts that other tests use.
PARTS = ("postgres", "kafka", "valkey")
#: The whole shop, if this process has started it. Later groups then use its PostgreSQL, Kafka and Valkey.
STARTED: list[RunningShop] = []


def pytest_configure() -> None:
    """Let Django's cleanup after a test skip empty tables."""
    TransactionTestCase._fixture_teardown = empty_filled_tables  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the folders of ORDER to the end, in that order, and deselect long tests unless LONG=all."""
    if os.environ.get("LONG") != "all":
        items[:] = [item for item in items if not item.get_closest_marker("long")]

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return ORDER.index(folder) + 1 if folder in ORDER else 0

    items.sort(key=rank)
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The scheduler reads a test's group from the end of its id. pytest-xdist 3.8 would add the group to a field
        # that pytest 9.2 does not read, and run each test in any process (pytest-xdist's issue 1386).
        items.sort(key=rank_group)
        for item in items:
            item._id = item.id.parse(f"{item.nodeid}@{find_group(item)}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while pytest collects tests: it would take a third of this time and find nothing."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection, here and in the processes that tests fork."""
    gc.collect()
    gc.freeze()


def find_group(item: pytest.Item) -> str:
    """Return the group of a test: one process of `make test` runs all tests of a group, in their order.

    The tests of a group share a shop: the whole shop, a shop of the module, or the parts PostgreSQL, Kafka and Valkey.
    Two groups use a whole shop of their own, because one would take longer than all others together. The tests of a
    folder are a group of the last kind. A process starts the parts once, for all such groups.
    """
    fixtures = item.fixturenames if isinstance(item, pytest.Function) else []
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if "running_shop" in fixtures:
        return "whole shop of pages" if folder in PAGES else "whole shop"
    if item.path.parent.name in OWN_SHOPS and "parts" not in fixtures:
        return item.path.stem
    return f"parts {folder}"


def rank_group(item: pytest.Item) -> int:
    """Return the place of a test's group: the longest groups begin first, and the others fill the remaining time."""
    group = find_group(item)
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """After the last test of this process that needs the whole shop, stop the parts that later groups do not use."""
    if STARTED and "PYTEST_XDIST_WORKER" in os.environ and not find_group(item).startswith("whole shop"):
        stop_unused_parts()


@cache
def stop_unused_parts() -> None:
    """Stop the processes of the whole shop except PARTS: idle ones use a tenth of a processor while other tests run."""
    STARTED[0].stop_all_except(*PARTS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what UTF-8 cannot encode in captured output: pytest-xdist sends reports between processes as UTF-8."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def pages_are_never_old() -> None:
    """Let each request in this process check for a new version of the catalogue."""
    from shop.catalogue import shared_pages

    shared_pages.CHECK_SECONDS = 0


@pytest.fixture(scope="session")
def running_shop() -> Iterator[RunningShop]:
    """Yield the whole shop, started by `manage.py up` with an empty folder."""
    shop = RunningShop(port=int(os.environ["PORT"]), var_dir=Path(os.environ["VAR_DIR"]), LAB="1")
    shop.end_leftovers()
    shop.start(timeout=240)
    STARTED.append(shop)
    yield shop
    shop.stop()


def needs_whole_shop(session: pytest.Session) -> bool:
    """Return whether this process has started the whole shop, or a selected test needs it."""
    if STARTED:
        return True
    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        # Each process knows all selected tests, but only one process runs the group with the whole shop.
        return "@whole shop" in os.environ["PYTEST_CURRENT_TEST"]
    return any("running_shop" in item.fixturenames for item in session.items if isinstance(item, pytest.Function))


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest) -> Iterator[RunningShop]:
    """Yield the running shop if a test of this process needs it, or a shop with only PostgreSQL, Kafka and Valkey."""
    if needs_whole_shop(request.session):
        yield request.getfixturevalue("running_shop")
        return
    shop = RunningShop(port=int(os.environ["PORT"]), var_dir=Path(os.environ["VAR_DIR"]), only=PARTS)
    shop.end_leftovers()
    shop.start(timeout=240)
    yield shop
    shop.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(parts: RunningShop) -> None:
    """Start PostgreSQL before pytest-django creates its test database there."""
    # Unit tests ring on a Valkey database that the running shop's Celery does not use.
    celery_app.conf.broker_url = celery_app.conf.broker_url.removesuffix("/0") + "/1"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Serve the sandbox gateway with its ledger in the test database, and close its connections at the end.

    The triggers of append-only tables that refuse TRUNCATE are disabled, so that a cleanup may truncate these tables.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, trigger in NOT_TRUNCATED.items():
            cursor.execute(f"alter table {table} disable trigger {trigger}")
    with serve_gateway() as settings.SANDBOX_URL:
        yield
    close_idle_books()


@pytest.fixture(autouse=True)
def workers_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a task that a test calls end as soon as nothing is due."""
    monkeypatch.setattr("shop.workqueue.shift.LINGER_SECONDS", 0.0)
    for app in ("payments", "notifications"):
        monkeypatch.setattr(f"{app}.tasks._shift._pace_seconds", 0.0)
