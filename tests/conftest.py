"""One copy of the whole shop runs for all tests; the tests that need a database use a second one in its PostgreSQL."""

import os
from collections.abc import Generator, Iterator
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

#: Tables that are only added to, and their triggers that refuse TRUNCATE.
NOT_TRUNCATED = {
    "audit_staffaction": "staffaction_not_truncated",
    "relay_intervention": "intervention_not_truncated",
}
# The cheap tests first, those that pull plugs last.
ORDER = ["relay", "flows", "browser", "embedded", "faults"]


def pytest_configure() -> None:
    """Spare each test the emptying of empty tables."""
    TransactionTestCase._fixture_teardown = empty_filled_tables  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folders of ORDER after all others, in that order; long tests only with LONG=all."""
    if os.environ.get("LONG") != "all":
        items[:] = [item for item in items if not item.get_closest_marker("long")]

    def rank(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return ORDER.index(folder) + 1 if folder in ORDER else 0

    items.sort(key=rank)
    for item in items:
        item.add_marker(pytest.mark.xdist_group("whole shop" if needs_whole_shop(item) else "parts"))


def needs_whole_shop(item: pytest.Item) -> bool:
    """Return whether the test uses all processes of a shop; `make test` runs these tests in a worker of their own."""
    fixtures = item.fixturenames if isinstance(item, pytest.Function) else []
    return item.path.parent.name in ("embedded", "faults") or "running_shop" in fixtures


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what UTF-8 cannot encode in captured output: pytest-xdist sends reports between processes as UTF-8."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def pages_are_never_old() -> None:
    """Let each request in this process look for a new version of the catalogue."""
    from shop.catalogue import shared_pages

    shared_pages.CHECK_SECONDS = 0


@pytest.fixture(scope="session")
def running_shop() -> Iterator[RunningShop]:
    """The whole shop, started by `manage.py up` with an empty folder."""
    shop = RunningShop(port=int(os.environ["PORT"]), var_dir=Path(os.environ["VAR_DIR"]))
    shop.end_leftovers()
    shop.start(timeout=240)
    yield shop
    shop.stop()


@pytest.fixture(scope="session")
def parts(request: pytest.FixtureRequest) -> Iterator[RunningShop]:
    """PostgreSQL, Kafka and Valkey: those of the running shop, or just these when no chosen test needs all of it."""
    if any("running_shop" in item.fixturenames for item in request.session.items if isinstance(item, pytest.Function)):
        yield request.getfixturevalue("running_shop")
        return
    shop = RunningShop(
        port=int(os.environ["PORT"]), var_dir=Path(os.environ["VAR_DIR"]), only=("postgres", "kafka", "valkey")
    )
    shop.end_leftovers()
    shop.start(timeout=240)
    yield shop
    shop.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(parts: RunningShop) -> None:
    """Have PostgreSQL up before pytest-django makes its test database there."""
    # The doorbell of unit tests rings where the running shop's Celery does not listen.
    celery_app.conf.broker_url = celery_app.conf.broker_url.removesuffix("/0") + "/1"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Serve the sandbox gateway's books of the test database, and close them before that is dropped.

    A test that commits is cleaned up by TRUNCATE, which two tables refuse that are only added to.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, trigger in NOT_TRUNCATED.items():
            cursor.execute(f"alter table {table} disable trigger {trigger}")
    with serve_gateway() as settings.SANDBOX_URL:
        yield
    close_idle_books()


@pytest.fixture(autouse=True)
def workers_leave_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that a test calls ends when nothing is due, instead of waiting for more."""
    monkeypatch.setattr("shop.workqueue.shift.LINGER_SECONDS", 0.0)
    for app in ("payments", "notifications"):
        monkeypatch.setattr(f"{app}.tasks._shift._pace_seconds", 0.0)
