"""Staged redrives: on exactly the chosen keys, with a stop after the first failed stage."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.test import Client

from relay.models import Cursor
from relay.operations.parked import Selection, list_groups
from shop.control.models import Redrive, RedriveKey
from shop.control.parked.progress import advance_redrives
from shop.control.parked.redrives import list_stages
from shop.events import StockLow
from tests.control.mending import Buyers, buyers, operator, viewer
from tests.relay.operated import operate

__all__ = ["buyers", "operator", "viewer"]
pytestmark = pytest.mark.django_db
KEYS = 130


def fail(event: StockLow) -> None:
    raise ZeroDivisionError("the bug is still in")


def choose(client: Client) -> Redrive:
    """Open the cause, and choose the keys that its page shows."""
    (group,) = list_groups(Selection())
    page = client.get(f"/control/parked/causes/{group.fingerprint}/").content.decode()
    (until,) = re.findall(r'name="until" value="([^"]+)"', page)
    answer = client.post(f"/control/parked/causes/{group.fingerprint}/choose/", {"until": until})
    assert answer.status_code == 302, answer.content.decode()
    return Redrive.objects.latest("pk")


def act(client: Client, redrive: Redrive, do: str, **more: str) -> int:
    return client.post(f"/control/parked/redrives/{redrive.pk}/act/", {"do": do, **more}).status_code


def run(buyers: Buyers, redrive: Redrive) -> Redrive:
    """Let the live process and the consumer work in turns until the redrive ends."""
    for _ in range(100):
        if not advance_redrives():
            break
        buyers.work()
    redrive.refresh_from_db()
    return redrive


def test_all_stages_apply_each_chosen_key_once_and_no_later_one(operator: Client, buyers: Buyers) -> None:
    buyers.park(*(f"MUG-{n}" for n in range(KEYS)))
    (group,) = list_groups(Selection())
    page = operator.get(f"/control/parked/causes/{group.fingerprint}/").content.decode()
    buyers.park("LATE-1")  # the person has not seen this key
    buyers.bug = lambda event: None
    (until,) = re.findall(r'name="until" value="([^"]+)"', page)
    operator.post(f"/control/parked/causes/{group.fingerprint}/choose/", {"until": until})
    redrive = Redrive.objects.get()
    assert (redrive.keys, redrive.state) == (KEYS, "chosen")
    assert advance_redrives() == 0  # nothing happens before the confirmation
    buyers.work()
    assert buyers.tried.total() == 0
    assert act(operator, redrive, "start") == 422  # without a reason
    assert act(operator, redrive, "start", reason="fixed in 1.2") == 302
    assert act(operator, redrive, "start", reason="twice") == 422
    assert run(buyers, redrive).state == "done"
    assert [(s.keys, s.applied) for s in list_stages(redrive)] == [(1, 1), (10, 10), (100, 100), (19, 19)]
    assert (len(buyers.applied), set(buyers.applied.values())) == (KEYS, {1})
    assert [cursor.key for cursor in Cursor.objects.exclude(parked_at=None)] == ["LATE-1"]
    assert "130 keys were applied" in operator.get(f"/control/parked/redrives/{redrive.pk}/").content.decode()


def fail_for_the_second_stage(event: StockLow) -> None:
    if event.available:
        fail(event)


@pytest.mark.parametrize(("bug", "failures"), [(fail, 1), (fail_for_the_second_stage, 10)])
def test_with_the_bug_still_in_a_redrive_fails_at_most_eleven_keys(
    operator: Client, buyers: Buyers, bug: Callable[[StockLow], None], failures: int
) -> None:
    buyers.park(*(f"MUG-{n}" for n in range(KEYS)))
    buyers.bug = bug
    redrive = choose(operator)
    act(operator, redrive, "start", reason="I hope that it is fixed")
    assert run(buyers, redrive).state == "stopped"
    assert (len(buyers.tried), buyers.tried.total()) == ((1, 1) if failures == 1 else (11, 11))
    assert sum(stage.failed for stage in list_stages(redrive)) == failures
    page = operator.get(f"/control/parked/redrives/{redrive.pk}/").content.decode()
    assert f"Stage {1 if failures == 1 else 2} failed" in page
    # The remaining keys are a new selection, which is confirmed again.
    buyers.bug = lambda event: None
    assert act(operator, redrive, "choose-remaining") == 302
    remaining = Redrive.objects.latest("pk")
    assert remaining.keys == KEYS - (1 if failures == 1 else 11)
    act(operator, remaining, "start", reason="fixed now")
    assert run(buyers, remaining).state == "done"
    assert Cursor.objects.exclude(parked_at=None).count() == failures


def test_a_redrive_stops_on_request_and_leaves_keys_that_have_moved_on(operator: Client, buyers: Buyers) -> None:
    buyers.park(*(f"MUG-{n}" for n in range(15)))
    buyers.bug = lambda event: None
    redrive = choose(operator)
    act(operator, redrive, "start", reason="fixed")
    advance_redrives()
    assert act(operator, redrive, "stop") == 302
    assert act(operator, redrive, "stop") == 422
    assert run(buyers, redrive).state == "stopped"
    assert buyers.tried.total() == 1  # the key of the first stage was released before
    buyers.consumer.catch_up(("shop.stock", "MUG-9"))
    act(operator, redrive, "choose-remaining")
    again = Redrive.objects.latest("pk")
    act(operator, again, "start", reason="continue")
    assert run(buyers, again).state == "done"
    assert [(s.applied, s.gone) for s in list_stages(again)] in ([(1, 0), (9, 1), (3, 0)], [(1, 0), (10, 0), (2, 1)])
    assert set(buyers.applied.values()) == {1}


@pytest.mark.django_db(transaction=True)
def test_a_redrive_that_another_live_process_continues_is_left_to_it(operator: Client, buyers: Buyers) -> None:
    buyers.park("MUG")
    redrive = choose(operator)
    act(operator, redrive, "start", reason="fixed")

    def advance() -> int:
        try:
            return advance_redrives()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Redrive.objects.select_for_update().get()
            assert pool.submit(advance).result(20) == 1
        assert RedriveKey.objects.get().state == "chosen"
        pool.submit(advance).result(20)
    assert RedriveKey.objects.get().state == "released"


def test_a_viewer_sees_no_button_and_may_not_start(viewer: Client, operator: Client, buyers: Buyers) -> None:
    buyers.park("MUG")
    redrive = choose(operator)
    assert b'value="start"' not in viewer.get(f"/control/parked/redrives/{redrive.pk}/").content
    assert act(viewer, redrive, "start", reason="x") == 403


def test_the_command_redrives_in_stages_and_fails_with_the_bug(
    buyers: Buyers, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers.park(*(f"MUG-{n}" for n in range(20)))
    buyers.bug = fail
    monkeypatch.setattr("relay.operations.stages.time.sleep", lambda seconds: buyers.work())
    with pytest.raises(CommandError, match="a key failed again"):
        operate("relay_parked", "redrive", "buyers", "--stages")
    assert buyers.tried.total() == 1
    buyers.bug = lambda event: None
    assert "stage 3: 9 keys, 9 applied, 0 failed" in operate("relay_parked", "redrive", "buyers", "--stages")
