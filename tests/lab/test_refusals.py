"""The lab is off unless LAB=1, never starts in production, and refuses loads without a bound."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from shop.lab import runs
from shop.lab.schema import create_tables
from tests.shop.environment import SAFE, manage


def test_production_refuses_the_lab() -> None:
    done = manage("lab", "work", **SAFE, LAB="1")
    assert done.returncode == 1
    assert done.stderr.startswith("LAB is 1: the lab switches parts of the shop off and places test orders. Unset LAB.")


def test_without_lab_there_are_no_commands_and_no_pages() -> None:
    for action in ("list", "work"):
        done = manage("lab", action)
        assert done.returncode == 1
        assert "the lab is off: set LAB=1" in done.stderr
    program = (
        "import sys; from django.urls import get_resolver; get_resolver().url_patterns;"
        " from shop.embedded.parts import list_parts;"
        " print([part.name for part in list_parts() if part.name == 'lab'],"
        " [name for name in sys.modules if name.startswith('shop.lab')])"
    )
    done = manage("shell", "--no-imports", "-c", program)
    assert done.stdout.strip() == "[] []", done.stderr


@pytest.fixture
def staff(db: None) -> Client:
    create_tables()
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def count_runs() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from lab.run")
        return int(cursor.fetchone()[0])


START = {"scenario": "calm", "rate": "20", "factor": "10", "seed": "1"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scenario": "storm"}, "There is no scenario &#x27;storm&#x27;"),
        ({"rate": "5000"}, "The rate 5000 is not between 0.5 and 100"),
        ({"rate": "nan"}, "The rate nan is not between"),
        ({"rate": "fast"}, "The rate &#x27;fast&#x27; is not a number"),
        ({"factor": "7"}, "The time factor 7 is unknown"),
        ({"seed": "-1"}, "The seed -1 is not between"),
    ],
)
def test_a_run_with_a_wrong_value_is_refused_with_the_value(staff: Client, change: dict[str, str], words: str) -> None:
    page = staff.post("/lab/start/", START | change, follow=True).content.decode()
    assert words in page
    assert count_runs() == 0


def test_a_second_run_and_unknown_switches_are_refused(staff: Client) -> None:
    def post(path: str, **values: Any) -> str:
        return staff.post(path, values, follow=True).content.decode()

    assert "No run is live" in post("/lab/switch/", part="kafka", minutes="5")
    assert "Run " in post("/lab/start/", **START)
    with pytest.raises(runs.Refused, match=r"take 3600 s\. The limit is 1800 s"):
        runs.request_run("calm", factor=1, seconds=3600, watched=False)
    with pytest.raises(runs.Refused, match=r"about 90,000 orders\. The limit is 40,000"):
        runs.request_run("calm", rate=100, factor=1, seconds=900, watched=False)
    with pytest.raises(runs.Refused, match="Another run is live"):
        runs.request_run("calm", watched=False)
    assert "There is no part &#x27;web&#x27;" in post("/lab/switch/", part="web", minutes="5")
    assert "&#x27;600&#x27; minutes are not offered" in post("/lab/switch/", part="kafka", minutes="600")
    assert count_runs() == 1


def test_a_run_whose_page_is_closed_must_stop(staff: Client) -> None:
    staff.post("/lab/start/", START)
    run = runs.take_wanted()
    assert run
    assert not runs.must_stop(run.id)
    with connection.cursor() as cursor:
        cursor.execute("update lab.run set watched_at = watched_at - interval '61 seconds'")
    assert runs.must_stop(run.id)
    staff.get("/lab/")  # a page looks again
    assert not runs.must_stop(run.id)


def test_a_run_of_a_command_needs_no_page_and_stops_on_request(staff: Client) -> None:
    runs.request_run("calm", watched=False)
    run = runs.take_wanted()
    assert run
    assert not runs.must_stop(run.id)
    staff.post("/lab/stop/")
    assert runs.must_stop(run.id)
