"""Parked keys and refused rows: list, show, edit, skip and redrive with the commands."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, connection, transaction

from relay import publish
from relay.consumer.cursors import take_parked
from relay.models import Intervention, Outbox
from relay.operations import Refused, mend
from tests.relay.events import BookLent
from tests.relay.operated import operate, operate_json, operated, wait_for_a_lock
from tests.relay.readers import Readers, lend

__all__ = ["operated"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def stuck(operated: Readers) -> UUID:
    """A book whose second event fails, with two more events behind it."""
    book = uuid4()
    operated.failing["Bob"] = ZeroDivisionError(f"page 7 of {book}")
    operated.consumer.process(lend(book, "Ada", "Bob", "Cleo", "Dan"))
    return book


@pytest.fixture
def refused() -> Outbox:
    """A row that Kafka refuses."""
    with transaction.atomic():
        publish(BookLent(book=uuid4()))
    Outbox.objects.update(refused_reason="MessageSizeTooLargeError: 600000 bytes")
    return Outbox.objects.get()


def test_the_list_groups_by_consumer_and_by_reason_without_its_numbers(operated: Readers, refused: Outbox) -> None:
    for page in range(3):
        book = uuid4()
        operated.failing[book] = ZeroDivisionError(f"page {page} of {book}")
        operated.consumer.process(lend(book, "Ada"))
    reported = operate_json("relay_parked", "list")
    assert [(g["consumer"], g["reason"], g["keys"], g["waiting_for_a_person"]) for g in reported["groups"]] == [
        ("readers", "ZeroDivisionError: page # of #", 3, 0),
        ("relay", "MessageSizeTooLargeError: # bytes", 1, 1),
    ]
    assert len(reported["keys"]) == 4
    assert len(operate_json("relay_parked", "list", "--consumer", "readers", "--limit", "2")["keys"]) == 2
    text = operate("relay_parked", "list", "--limit", "1")
    assert "3 keys  readers" in text
    assert "… and 3 more (--limit)" in text


def test_showing_a_key_prints_its_event_and_the_events_behind_it(operated: Readers, stuck: UUID) -> None:
    reported = operate_json("relay_parked", "show", "readers", "test.library", str(stuck))
    assert json.loads(reported["event"]["body"])["reader"] == "Bob"
    assert (reported["parked"]["sequence"], reported["parked"]["attempts"], reported["behind"]) == (2, 1, 2)
    assert [one["sequence"] for one in reported["next_behind"]] == [3, 4]
    assert "2 events wait behind it" in operate("relay_parked", "show", "readers", "test.library", str(stuck))


def test_a_redriven_key_applies_the_edited_payload(operated: Readers, stuck: UUID, tmp_path: Path) -> None:
    where = ("readers", "test.library", str(stuck))
    row = Outbox.objects.get(key=str(stuck), sequence=2)
    edited = tmp_path / "body.json"
    edited.write_text(row.body.replace("Bob", "Bert"))
    words = ("relay_parked", "edit", *where, "--body", str(edited), "--reason", "his name is Bert", "--actor", "eve")
    operate(*words, "--dry-run")
    assert Outbox.objects.get(pk=row.pk).body == row.body
    assert Intervention.objects.count() == 0
    operate(*words)
    audit = Intervention.objects.get()
    assert (audit.actor, audit.action, audit.sequence, audit.reason) == ("eve", "edit", 2, "his name is Bert")
    assert (audit.before, audit.after) == (row.body, edited.read_text())
    operate("relay_parked", "redrive", *where)
    assert operated.catch_up(stuck)
    assert operated.applied(stuck) == ["Ada", "Bert", "Cleo", "Dan"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"reader"', '"reader', "can't be read: not a BookLent.v1"),
        ('"reader":"Bob"', '"reader":7', "can't be read: not a BookLent.v1"),
        ('"book":"', '"book":"00000000-0000-0000-0000-000000000000","was":"', "an event keeps its key"),
        ('"event_id":"', '"event_id":"00000000-0000-7000-8000-000000000000","was":"', "an event keeps its id"),
        ("Bob", "B" * 600_000, "the limit is 524288"),
    ],
)
def test_a_payload_that_is_not_the_same_event_is_refused(
    operated: Readers, stuck: UUID, tmp_path: Path, before: str, after: str, words: str
) -> None:
    row = Outbox.objects.get(key=str(stuck), sequence=2)
    edited = tmp_path / "body.json"
    edited.write_text(row.body.replace(before, after, 1))
    where = ("readers", "test.library", str(stuck))
    with pytest.raises(CommandError, match=words):
        operate("relay_parked", "edit", *where, "--body", str(edited), "--reason", "x")
    assert Outbox.objects.get(pk=row.pk).body == row.body


def test_a_skipped_event_is_never_applied_and_the_events_behind_it_are(operated: Readers, stuck: UUID) -> None:
    words = ("relay_parked", "skip", "readers", "test.library", str(stuck))
    with pytest.raises(CommandError, match="a reason is needed"):
        operate(*words)
    with pytest.raises(CommandError, match="waits at event 2, not at 3"):
        operate(*words, "--sequence", "3", "--reason", "typed twice")
    operate(*words, "--reason", "Bob never came", "--dry-run")
    assert operated.cursor(stuck).last == 1
    operate(*words, "--sequence", "2", "--reason", "Bob never came", "--actor", "eve")
    assert take_parked("readers") == [("test.library", str(stuck))]
    assert operated.catch_up(stuck)
    assert operated.applied(stuck) == ["Ada", "Cleo", "Dan"]
    audit = Intervention.objects.get()
    assert (audit.actor, audit.action, audit.sequence, audit.reason) == ("eve", "skip", 2, "Bob never came")
    assert '"reader":"Bob"' in audit.before


@pytest.mark.parametrize(
    ("words", "redriven"),
    [
        (["readers", "test.library", "KEY"], 1),
        (["--group", "ZeroDivisionError"], 2),
        (["--group", "ZeroDivisionError: page # of #"], 1),
        (["readers"], 3),
        (["readers", "--group", "KeyError"], 1),
        (["--all"], 4),
    ],
)
def test_one_key_one_group_one_consumer_or_all_are_redriven(
    refused: Outbox, operated: Readers, stuck: UUID, words: list[str], redriven: int
) -> None:
    for error in (KeyError("shelf"), ZeroDivisionError("no page")):
        book = uuid4()
        operated.failing[book] = error
        operated.consumer.process(lend(book, "Ada"))
    words = [str(stuck) if word == "KEY" else word for word in words]
    assert len(operate_json("relay_parked", "redrive", *words, "--dry-run")["keys"]) == redriven
    assert (take_parked("readers"), Intervention.objects.count()) == ([], 0)
    operate("relay_parked", "redrive", *words)
    assert Intervention.objects.filter(action="redrive").count() == redriven
    refused.refresh_from_db()
    assert len(take_parked("readers")) + (refused.refused_reason is None) == redriven


def test_a_refused_row_can_be_shown_edited_and_sent_again_but_not_skipped(
    operated: Readers, refused: Outbox, tmp_path: Path
) -> None:
    where = ("relay", refused.topic, refused.key)
    assert operate_json("relay_parked", "show", *where)["event"]["body"] == refused.body
    with pytest.raises(CommandError, match="readers need every sequence number"):
        operate("relay_parked", "skip", *where, "--reason", "x")
    (tmp_path / "body").write_text(refused.body.replace("somebody", "some"))
    operate("relay_parked", "edit", *where, "--body", str(tmp_path / "body"), "--reason", "shorter")
    operate("relay_parked", "redrive", *where)
    refused.refresh_from_db()
    assert refused.refused_reason is None
    assert '"some"' in refused.body


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--consumer", "reader"], "there is no consumer 'reader'; .*: readers"),
        (["show", "readers", "test.library", "k"], "readers has not parked the key 'k' of test.library"),
        (["redrive"], "or --all"),
        (["redrive", "readers", "test.library"], "three arguments"),
        (["edit", "readers", "test.library", "k", "--body", "/no/such", "--reason", "x"], "can't be read"),
    ],
)
def test_a_refusal_says_what_to_do(operated: Readers, words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        operate("relay_parked", *words)


def test_the_audit_can_not_be_changed(operated: Readers, stuck: UUID) -> None:
    operate("relay_parked", "redrive", "--all")
    for change in ("delete from relay_intervention", "update relay_intervention set actor = 'somebody else'"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("consumer", ["readers", "relay"])
def test_an_event_that_is_redriven_meanwhile_is_not_edited(
    consumer: str, operated: Readers, request: pytest.FixtureRequest
) -> None:
    """The consumer applies the former payload, or the relay sends it, so the audit must not name the new payload."""
    book = str(request.getfixturevalue("stuck")) if consumer == "readers" else request.getfixturevalue("refused").key
    row = Outbox.objects.filter(key=book, topic="test.library").order_by("sequence")[1 if consumer == "readers" else 0]
    body = row.body.replace("somebody", "Bert").replace("Bob", "Bert")

    def edit() -> None:
        try:
            mend.edit(consumer, "test.library", book, body, actor="eve", reason="his name is Bert")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            if consumer == "readers":
                cursor.execute("update relay_cursor set last = 4, parked_at = null where key = %s", [book])
            else:
                cursor.execute("update relay_outbox set refused_reason = null where key = %s", [book])
            editing = pool.submit(edit)
            wait_for_a_lock(editing)
        with pytest.raises(Refused, match="has not parked the key"):
            editing.result(20)
    assert Outbox.objects.get(position=row.position).body == row.body
    assert not Intervention.objects.exists()
