"""Parked keys by cause, with a note, and the page of one key: mask, edit, retry, skip."""

import re
from html import unescape

import pytest
from django.test import Client

from relay.models import Cursor, Intervention, Outbox
from relay.operations.parked import Selection, list_groups
from relay.testing.delivery import deliver
from shop.control import payloads
from shop.control.models import CauseNote
from shop.events import StockLow
from tests.control.mending import TOPIC, Buyers, buyers, operator, publish_stock, viewer

__all__ = ["buyers", "operator", "viewer"]
pytestmark = pytest.mark.django_db
PAGE = "/control/parked/"


def find_fingerprint() -> str:
    (group,) = list_groups(Selection())
    return group.fingerprint


def read(client: Client, address: str, status: int = 200, **data: str) -> str:
    answer = client.post(address, data) if data else client.get(address)
    assert answer.status_code == status, answer.content.decode()
    return re.sub(r"\s+", " ", unescape(answer.content.decode()))


def test_without_parked_keys_the_page_says_so(viewer: Client, buyers: Buyers) -> None:
    assert "Nothing is parked" in read(viewer, PAGE)


def test_keys_of_one_cause_are_one_group_with_a_note(viewer: Client, operator: Client, buyers: Buyers) -> None:
    buyers.park(*(f"MUG-{n}" for n in range(60)))

    def fail(event: StockLow) -> None:
        raise KeyError(f"shelf {event.available}")

    buyers.bug = fail
    publish_stock("CUP-1", "CUP-2")
    deliver(buyers.consumer, parked="allow")
    groups = list_groups(Selection())
    assert [(group.type, group.reason, group.keys) for group in groups] == [
        ("StockLow.v1", "ZeroDivisionError: no price for piece # of order #", 60),
        ("StockLow.v1", "KeyError: 'shelf #'", 2),
    ]
    page = read(viewer, PAGE)
    assert "62 parked keys of 2 causes" in page
    address = f"{PAGE}causes/{groups[0].fingerprint}/"
    assert viewer.post(f"{address}note/", {"text": "x"}).status_code == 403
    assert operator.post(f"{address}note/", {"text": "fixed in 1.2"}).status_code == 302
    assert CauseNote.objects.get().written_by in read(viewer, PAGE)
    assert "fixed in 1.2" in read(viewer, address)
    assert "the limit is 2,000" in read(operator, f"{address}note/", 422, text="x" * 2001)
    # Two pages of keys, without a key on both.
    first = read(viewer, address)
    (mark,) = re.findall(r'rel="next" href="\?after=([^"]+)"', first)
    second = read(viewer, f"{address}?after={mark}")
    keys = [re.findall(r"key=(MUG-\d+)", page) for page in (first, second)]
    assert (len(keys[0]), len(keys[1]), len({*keys[0], *keys[1]})) == (50, 10, 60)
    assert read(viewer, f"{address}?after=x_y").count("key=MUG-") == 50
    assert viewer.get(f"{PAGE}causes/none/").status_code == 404


def test_the_page_of_a_key_masks_the_payload_and_shows_attempts_and_traceback(
    viewer: Client, operator: Client, buyers: Buyers, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers.park("MUG", behind=12)
    address = f"{PAGE}key/?consumer=buyers&topic={TOPIC}&key=MUG"
    monkeypatch.setattr(payloads, "SHOWN", payloads.SHOWN - {"low_at"})
    masked = read(viewer, address)
    assert '"low_at": "hidden"' in masked
    assert "Traceback (most recent call last)" in masked
    assert "12 events" in masked and "and 2 more" in masked
    assert "Retry event" not in masked
    full = read(operator, address)
    assert '"low_at": 5' in full and "Retry event 1" in full
    assert viewer.get(f"{PAGE}key/").status_code == 404
    assert "not parked any more" in read(viewer, address.replace("MUG", "CUP"), 404)


def test_an_event_is_edited_retried_and_skipped_with_a_reason(operator: Client, buyers: Buyers) -> None:
    buyers.park("MUG", behind=1)
    form = {"consumer": "buyers", "topic": TOPIC, "key": "MUG", "sequence": "1", "reason": "wrong threshold"}
    body = Outbox.objects.get(key="MUG", sequence=1).body
    act = f"{PAGE}key/act/"
    assert "Enter a reason" in read(operator, act, 422, **form | {"reason": " ", "do": "retry"})
    assert "is not JSON" in read(operator, act, 422, **form | {"do": "edit", "body": "{"})
    assert "same as before" in read(operator, act, 422, **form | {"do": "edit", "body": body.replace(",", ", ")})
    assert "does not wait at event 7" in read(operator, act, 422, **form | {"do": "retry", "sequence": "7"})
    assert "keeps its key" in read(operator, act, 422, **form | {"do": "edit", "body": body.replace("MUG", "CUP")})
    assert "no action 'jump'" in read(operator, act, 422, **form | {"do": "jump"})
    assert Intervention.objects.count() == 0
    buyers.bug = lambda event: None
    edited = body.replace('"low_at":5', '"low_at":9')
    assert operator.post(act, form | {"do": "edit", "body": edited}).status_code == 302
    assert "is changed and is tried within a second" in read(operator, PAGE)
    buyers.work()
    assert Cursor.objects.get(key="MUG").last == 2
    assert sum(buyers.applied.values()) == 1
    assert [row.action for row in Intervention.objects.order_by("id")] == ["edit", "redrive"]
    buyers.park("CUP", behind=1)
    assert operator.post(act, form | {"do": "skip", "key": "CUP"}).status_code == 302
    buyers.work()
    assert (Cursor.objects.get(key="CUP").last, Cursor.objects.get(key="CUP").parked_at) == (2, None)
    assert buyers.tried["CUP"] == 0
