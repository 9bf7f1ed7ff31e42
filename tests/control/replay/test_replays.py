"""Replays: the dry run is the only door, a closed page pauses the run, and each event is applied once."""

from html import unescape

import pytest
from django.db import connection
from django.test import Client

from relay.models import Cursor, Intervention, Outbox
from relay.operations import stretches
from relay.testing.delivery import deliver
from shop.control.models import Replay
from shop.control.replay import runs
from shop.events import StockLow
from tests.control.mending import Buyers, buyers, operator, publish_stock, viewer
from tests.relay.operated import mark_published

__all__ = ["buyers", "operator", "viewer"]
pytestmark = pytest.mark.django_db
PAGE = "/control/replay/"


@pytest.fixture
def missing(buyers: Buyers) -> Buyers:
    """Thirty events, of which the consumer has applied ten."""
    publish_stock(*(f"MUG-{n}" for n in range(10)))
    mark_published()
    deliver(buyers.consumer)
    publish_stock(*(f"MUG-{n}" for n in range(20)))
    mark_published()
    return buyers


def make(client: Client, **span: str) -> Replay:
    first = str(Outbox.objects.earliest("position").position)
    answer = client.post(f"{PAGE}count/", {"consumer": "buyers", **(span or {"first": first})})
    assert answer.status_code == 302, unescape(answer.content.decode())
    return Replay.objects.latest("pk")


def act(client: Client, replay: Replay, do: str, **more: str) -> str:
    answer = client.post(f"{PAGE}{replay.pk}/act/", {"do": do, **more}, follow=True)
    assert answer.status_code in (200, 422)
    replay.refresh_from_db()
    return unescape(answer.content.decode())


def change(replay: Replay, column: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"update control_replay set {column} = now() - interval '16 minutes'")  # noqa: S608
    replay.refresh_from_db()


def test_a_run_applies_what_the_dry_run_showed(operator: Client, missing: Buyers) -> None:
    assert "Nobody has replayed anything yet" in operator.get(PAGE).content.decode()
    replay = make(operator)
    assert replay.planned == {"events": 30, "keys": 20, "applied_before": 10, "parked": 0, "to_apply": 20}
    assert (replay.state, len(missing.applied)) == ("counted", 10)
    assert "Enter a reason" in act(operator, replay, "start")
    act(operator, replay, "start", reason="events are missing")
    for _ in range(5):
        act(operator, replay, "step")
    assert (replay.state, replay.result["applied"], replay.result["suppressed"]) == ("done", 20, 10)
    assert (len(missing.applied), set(missing.applied.values())) == (30, {1})
    audit = Intervention.objects.get()
    assert (audit.action, audit.reason, "'to_apply': 20" in audit.after) == ("replay", "events are missing", True)
    assert "20 applied, 10 suppressed" in operator.get(PAGE).content.decode()


def test_an_old_dry_run_and_changed_figures_start_nothing(operator: Client, missing: Buyers) -> None:
    replay = make(operator)
    change(replay, "counted_at")
    assert "Count again before you start" in operator.get(f"{PAGE}{replay.pk}/").content.decode()
    assert "older than 15 minutes" in act(operator, replay, "start", reason="x")
    act(operator, replay, "recount")
    missing.consumer.catch_up(("shop.stock", "MUG-3"))
    assert "The figures have changed" in act(operator, replay, "start", reason="x")
    assert (replay.state, replay.planned["to_apply"]) == ("counted", 19)
    assert (len(missing.applied), Intervention.objects.count()) == (11, 0)


def test_a_run_in_steps_pauses_without_its_page_and_is_aborted(
    operator: Client, viewer: Client, missing: Buyers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "STEP_SECONDS", 0)
    monkeypatch.setattr(stretches, "WINDOW", 20)
    monkeypatch.setattr(stretches, "GIVEN", 8)
    replay = make(operator)
    assert replay.state == "counting"
    act(operator, replay, "step")
    act(operator, replay, "start", reason="x")
    act(operator, replay, "step")
    assert (replay.state, replay.result["read"]) == ("running", 0)
    act(operator, replay, "step")
    assert replay.result["read"] == 8
    # A page that only shows the run does not continue it; a page that continues it does so with htmx.
    assert "load delay" not in viewer.get(f"{PAGE}{replay.pk}/").content.decode()
    answer = operator.post(f"{PAGE}{replay.pk}/act/", {"do": "step"}, headers={"HX-Request": "true"})
    assert b"load delay" in answer.content
    change(replay, "moved_at")
    assert "no page continues it" in viewer.get(f"{PAGE}{replay.pk}/").content.decode()
    act(operator, replay, "pause")
    act(operator, replay, "step")
    assert (replay.state, replay.result["read"]) == ("paused", 16)
    act(operator, replay, "resume")
    assert replay.result["read"] == 24
    act(operator, replay, "abort")
    assert (replay.state, missing.applied.total()) == ("aborted", 24)
    assert "has ended already" in act(operator, replay, "abort")
    assert viewer.post(f"{PAGE}{replay.pk}/act/", {"do": "step"}).status_code == 403
    assert "There is no action" in act(operator, replay, "jump")


def test_an_event_that_fails_pauses_the_run(operator: Client, missing: Buyers) -> None:
    def fail(event: StockLow) -> None:
        if event.sku == "MUG-7":
            raise ZeroDivisionError("no price")

    missing.bug = fail
    replay = make(operator)
    text = act(operator, replay, "start", reason="x") + act(operator, replay, "step")
    assert "its key is parked" in text or replay.state == "done"
    assert Cursor.objects.exclude(parked_at=None).get().key == "MUG-7"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"consumer": "sellers", "first": "1"}, "There is no consumer sellers"),
        ({}, "Enter the beginning as a time or as a position"),
        ({"first": "1", "since": "2026-01-01T00:00"}, "not as both"),
        ({"first": "1", "last": "2", "until": "2026-01-01T00:00"}, "Enter the end as a time or as a position"),
        ({"first": "x"}, "Enter a whole number"),
        ({"since": "yesterday"}, "Enter a time, for example"),
        ({"since": "2999-01-01T00:00"}, "which is in the future"),
        ({"first": "999999999999"}, "The span is empty"),
    ],
)
def test_a_wrong_span_is_refused_with_advice(
    operator: Client, missing: Buyers, fields: dict[str, str], words: str
) -> None:
    answer = operator.post(f"{PAGE}count/", {"consumer": "buyers", **fields})
    assert answer.status_code == 422
    assert words in unescape(answer.content.decode())
    assert not Replay.objects.exists()
