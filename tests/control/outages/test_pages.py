"""The pages of consumers: what they show in an outage, and the pause with its reason, permission and record."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from relay.models import ConsumerState, Intervention
from shop.control.models import Outage, Point, Sample
from shop.control.outages.chart import find_ceiling
from shop.control.outages.points import MOST_POINTS, read_series
from shop.control.sampler import delete_old_samples
from tests.control.outages.simulation import Simulation

pytestmark = pytest.mark.django_db
PAGE = "/control/consumers/inventory/"


def make_staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"staff-{len(permissions)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="relay", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer() -> Client:
    return make_staff("view_outbox")


@pytest.fixture
def operator() -> Client:
    return make_staff("view_outbox", "change_consumerstate")


def read(client: Client, address: str = PAGE) -> str:
    return client.get(address).content.decode()


def test_before_the_first_sample_the_pages_say_what_to_do(viewer: Client) -> None:
    for address in (PAGE, "/control/consumers/"):
        assert "manage.py status" in read(viewer, address)
    assert viewer.get("/control/consumers/warehouse/").status_code == 404


def test_an_outage_is_shown_with_its_prediction_result_and_score(
    monkeypatch: pytest.MonkeyPatch, viewer: Client
) -> None:
    monkeypatch.setattr("shop.control.outages.pages.list_names", lambda: ["inventory"])
    monkeypatch.setattr("shop.control.pages.list_names", lambda: ["inventory"])
    shop = Simulation(monkeypatch, orders=20, mu=300, seed=7)
    shop.run(30)
    assert "unknown until the first backlog" in read(viewer)
    assert "No outage yet" in read(viewer)
    for seconds in (40, 60):
        shop.stop()
        shop.run(seconds)
        if seconds == 60:
            monkeypatch.setattr("shop.control.outages.pages.find_end", lambda: int(shop.now) + 1)
            html = read(viewer)
            assert "If it came back now:" in html
            assert "not yet" in html
            label = re.search(r'role="img" aria-label="([^"]+)"', html)
            assert label
            assert re.fullmatch(r"lag [\d,]+, rising, if it came back now: .*", label[1])
            assert html.count('class="band"') == 2
        shop.start()
        shop.finish_outage()
        shop.run(30)
    html = read(viewer)
    outage = Outage.objects.latest("began_at")
    assert f"{outage.score_back:.0f} %" in html
    assert "Figures of the chart" in html
    assert f"{outage.most_waiting:,}" in read(viewer, "/control/consumers/")
    assert "needs the permission" in html


def test_a_pause_needs_a_reason_and_is_recorded(viewer: Client, operator: Client) -> None:
    pause, resume = PAGE + "pause/", PAGE + "resume/"
    assert viewer.post(pause, {"reason": "stock count"}).status_code == 403
    answer = operator.post(pause, {"reason": " ", "minutes": "soon"}, follow=True).content.decode()
    assert "Reason “ ”: This field is required." in answer
    assert "Minutes “soon”: Enter a number." in answer
    assert not ConsumerState.objects.exclude(paused_at=None).exists()
    answer = operator.post(pause, {"reason": "stock count", "minutes": "2.5"}, follow=True).content.decode()
    assert "inventory is paused for 2.5 minutes" in answer
    state = ConsumerState.objects.get(consumer="inventory")
    assert (state.paused_by, state.reason, state.resume_at is not None) == ("admin:staff-2", "stock count", True)
    assert "inventory is resumed" in operator.post(resume, follow=True).content.decode()
    assert "was not paused" in operator.post(resume, follow=True).content.decode()
    assert list(Intervention.objects.order_by("pk").values_list("action", "actor", "reason")) == [
        ("pause", "admin:staff-2", "stock count"),
        ("resume", "admin:staff-2", ""),
    ]


def test_a_form_of_another_site_can_not_pause(operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert strict.post(PAGE + "pause/", {"reason": "forged"}).status_code == 403


def test_charts_have_at_most_300_points_and_old_rows_are_thinned_to_the_peak_of_each_minute() -> None:
    now = int(datetime.now(UTC).timestamp()) // 60 * 60
    ages = [*range(0, 3600, 5), *range(3600, 3 * 3600, 5), 49 * 3600]
    Point.objects.bulk_create(
        Point(consumer="inventory", period=now - age, at=datetime.fromtimestamp(now - age, UTC), waiting=age % 60)
        for age in ages
    )
    Sample.objects.bulk_create(
        Sample(period=now - age, at=datetime.fromtimestamp(now - age, UTC), figures={}) for age in ages
    )
    for seconds in (3600, 6 * 3600, 48 * 3600):
        assert 1 <= len(read_series("inventory", end=now + 1, seconds=seconds)) <= MOST_POINTS
    delete_old_samples()
    old = Point.objects.filter(at__lt=datetime.fromtimestamp(now, UTC) - timedelta(hours=1, minutes=2))
    assert 115 <= old.count() <= 125
    assert {point.waiting for point in old} == {55}
    assert 705 + 115 <= Sample.objects.count() <= 720 + 125
    assert max(one.waiting for one in read_series("inventory", end=now + 1, seconds=6 * 3600)) == 55


@pytest.mark.parametrize(("highest", "ceiling"), [(0, 20), (21, 40), (99, 100), (101, 120), (12_400, 16_000)])
def test_the_axis_ends_at_a_round_number(highest: int, ceiling: int) -> None:
    assert find_ceiling(highest) == ceiling
