"""The overview of the running shop: who may look, and what it says in calm and in an outage."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import F
from django.test import Client

from shop.control.models import Sample
from shop.control.sampler import delete_old_samples, take_sample
from shop.embedded.processes import wait_until
from tests.client import Customer, make_order
from tests.control.samples import read_now, wait_for_sample
from tests.flows.test_life_of_an_order import find_sku
from tests.running_shop import RunningShop

PAGES = ["/control/", "/control/now.json"]


@pytest.fixture
def viewer(db: None) -> Client:
    user = User.objects.create_user("viewer", password="difference-engine-1843", is_staff=True)
    user.user_permissions.add(Permission.objects.get(content_type__app_label="relay", codename="view_outbox"))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_only_staff_with_the_permission_may_look(db: None, viewer: Client, page: str) -> None:
    assert Client().get(page).status_code == 302
    other = Client()
    other.force_login(User.objects.create_user("other", is_staff=True))
    assert other.get(page).status_code == 403
    assert viewer.get(page).status_code in (200, 503)


def test_before_the_first_sample_the_page_says_what_to_do(viewer: Client) -> None:
    assert "manage.py status" in viewer.get("/control/").content.decode()
    answer = viewer.get("/control/now.json")
    assert (answer.status_code, "is the part live running" in answer.json()["detail"]) == (503, True)


def test_one_period_is_sampled_once(transactional_db: None, viewer: Client) -> None:
    assert wait_until(take_sample, seconds=60)  # a new period
    count = 2 if take_sample() else 1  # the next period may have begun
    assert Sample.objects.count() == count
    figures = viewer.get("/control/now.json").json()
    assert figures["outbox"]["unpublished"] == 0
    assert set(figures["consumers"]) == {
        "orders",
        "inventory",
        "payments",
        "notifications",
        "analytics",
        "bought_together",
    }
    Sample.objects.update(period=F("period") - 49 * 3600)
    assert (delete_old_samples(), Sample.objects.count()) == (count, 0)


def test_old_figures_are_marked_as_outdated(transactional_db: None, viewer: Client) -> None:
    assert wait_until(take_sample, seconds=60)
    Sample.objects.update(at="2026-01-01T00:00:00Z")
    page = viewer.get("/control/").content.decode()
    assert "These figures are" in page
    assert "node--up" not in page


def test_the_start_page_of_the_admin_shows_the_verdict_to_those_who_may_look(
    transactional_db: None, viewer: Client
) -> None:
    assert "has no figures yet" in viewer.get("/admin/").content.decode()
    assert wait_until(take_sample, seconds=60)
    page = viewer.get("/admin/").content.decode()  # this test runs no relay and no consumer
    assert re.search(r"■ \d+ things need attention", page)
    assert "<strong>Down</strong> relay does not run." in page
    assert 'href="/control/"' in page
    Sample.objects.update(at="2026-01-01T00:00:00Z")
    assert "? The newest figures are" in viewer.get("/admin/").content.decode()
    other = Client()
    other.force_login(User.objects.create_user("other", is_staff=True))
    page = other.get("/admin/").content.decode()
    assert "glance" not in page
    assert "/control/" not in page


@contextmanager
def stopped(shop: RunningShop, part: str) -> Iterator[None]:
    shop.part_stop(part)
    try:
        yield
    finally:
        shop.part_start(part)


def test_an_outage_is_named_with_what_waits_and_ends_by_itself(running_shop: RunningShop) -> None:
    customer = Customer(running_shop.base_url)
    with stopped(running_shop, "inventory"):
        customer.place(make_order((find_sku(running_shop), 1)))

        def is_named() -> bool:
            texts = [finding["text"] for finding in read_now(running_shop)["findings"]]
            return any(text.startswith("inventory is down since") and "wait" in text for text in texts)

        assert wait_for_sample(running_shop, is_named, seconds=60)
    assert wait_for_sample(running_shop, lambda: read_now(running_shop)["well"] is True, seconds=60)


def test_kafka_away_is_one_finding_and_customers_still_order(running_shop: RunningShop) -> None:
    with stopped(running_shop, "kafka"):
        assert Customer(running_shop.base_url).place(make_order((find_sku(running_shop), 1))).status == 201
        assert wait_for_sample(
            running_shop, lambda: read_now(running_shop)["states"].get("kafka") == "down", seconds=60
        )
    assert wait_for_sample(running_shop, lambda: read_now(running_shop)["well"] is True, seconds=90)


def test_samples_are_taken_while_the_shop_runs(running_shop: RunningShop) -> None:
    with psycopg.connect(running_shop.addresses["postgres"], autocommit=True) as db:

        def count() -> int:
            row = db.execute("select count(*) from control_sample where figures is not null").fetchone()
            assert row
            return int(row[0])

        before = count()
        assert wait_until(lambda: count() >= before + 2, seconds=30)
