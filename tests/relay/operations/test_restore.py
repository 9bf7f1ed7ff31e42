"""relay_after_restore: foreign records are listed and explained, and their keys continue with the events of the outbox.

tests/faults/test_restored_database.py does the same with a database that really goes back.
"""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError
from pytest_django.fixtures import Settings

from relay.consumer.deliveries import Delivery
from relay.models import Cursor, ForeignRecord, Intervention
from relay.operations import cluster
from relay.operations.restore import list_own_topics
from relay.testing import deliver as deliver_all
from relay.testing.delivery import sweep
from tests.relay.consumer.test_origin import edit_row, make_phantom, prune_up_to
from tests.relay.operated import make_due, mark_published, operate, operate_json, operated
from tests.relay.readers import Readers, deliver, lend

__all__ = ["operated"]
pytestmark = pytest.mark.django_db
RESTORE = ("relay_after_restore", "--reason", "restored the backup of 10:30")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Delivery]:
    """A list in place of Kafka's log."""
    records: list[Delivery] = []

    def read_log(topics: Sequence[str]) -> list[Delivery]:
        return [delivery for delivery in records if delivery.topic in topics]

    monkeypatch.setattr(cluster, "read_log", read_log)
    return records


def park_phantom(readers: Readers, log: list[Delivery]) -> tuple[UUID, Delivery]:
    """Return a book with one applied event, and a phantom that has parked the book."""
    book = uuid4()
    log += lend(book, "Ada")
    readers.consumer.process(log[-1:])
    log.append(make_phantom(book)._replace(offset=900))
    readers.consumer.process(log[-1:])
    assert readers.cursor(book).parked_at
    return book, log[-1]


def test_phantoms_are_listed_and_explained_and_their_keys_continue(operated: Readers, log: list[Delivery]) -> None:
    book, phantom = park_phantom(operated, log)
    log += lend(book, "Bob")[1:]
    operated.consumer.process(log[-1:])
    output = operate(*RESTORE)
    place = f"test.library[{phantom.partition}]@900"
    assert f"test.library/{book}: Kafka's record of sequence 2 ({place}) has event {phantom.event_id} (Book" in output
    assert "3 records read; 1 foreign records in 1 keys explained" in output
    assert "1 parked keys redriven" in output
    assert operated.catch_up(book), "a consumer does this within a second"
    assert operated.applied(book) == ["Ada", "Bob"]
    actions = Intervention.objects.order_by("id").values_list("action", "reason", "after")
    assert actions[0] == ("restore", RESTORE[2], "1 foreign records of 1 keys explained")
    assert actions[1][:2] == ("redrive", RESTORE[2])


def test_a_consumer_that_receives_an_explained_phantom_later_drops_it(operated: Readers, log: list[Delivery]) -> None:
    book = uuid4()
    log += [*lend(book, "Ada"), make_phantom(book)]
    real = lend(book, "Bob")[1:]
    operate(*RESTORE)
    operated.consumer.process([*log, *real])
    assert operated.applied(book) == ["Ada", "Bob"]
    assert operated.cursor(book).parked_at is None


def test_a_dry_run_lists_everything_and_changes_nothing(operated: Readers, log: list[Delivery]) -> None:
    book, phantom = park_phantom(operated, log)
    found = operate_json("relay_after_restore", "--dry-run")
    (foreign,) = found["foreign"]
    assert (foreign["key"], foreign["sequence"], foreign["event_id"]) == (str(book), 2, phantom.event_id)
    assert foreign["body"] == phantom.value.decode()
    assert foreign["in_outbox"] is None
    assert [parked["key"] for parked in found["redriven"]] == [str(book)]
    assert operated.cursor(book).next_try_at is None
    assert not Intervention.objects.exists()
    assert ForeignRecord.objects.get().explained_at is None


def test_without_a_reason_the_command_is_refused(log: list[Delivery]) -> None:
    with pytest.raises(CommandError, match="a reason is needed"):
        operate("relay_after_restore")


def test_a_second_run_finds_nothing_and_forgotten_records_are_explained_too(
    operated: Readers, log: list[Delivery]
) -> None:
    park_phantom(operated, log)
    log.pop()  # Kafka's retention has deleted the record
    assert "0 foreign records in 0 keys explained" in operate(*RESTORE)
    assert ForeignRecord.objects.get().explained_at
    park_phantom(operated, log)
    assert "1 foreign records" in operate(*RESTORE)
    assert "0 foreign records" in operate(*RESTORE)


def test_edited_and_pruned_rows_and_unreadable_records_are_not_listed(operated: Readers, log: list[Delivery]) -> None:
    edited, pruned = uuid4(), uuid4()
    log += [*lend(edited, "Ada"), *lend(pruned, "Bob"), log_unreadable()]
    edit_row(edited, "Cleo")
    prune_up_to(pruned, 1)
    assert operate_json(*RESTORE)["foreign"] == []


def log_unreadable() -> Delivery:
    return Delivery("test.library", 0, 1, "", 0, "", b"", problem="it has no key")


def test_topics_of_another_service_and_canaries_are_not_read(settings: Settings) -> None:
    lend(uuid4(), "Ada")
    assert list_own_topics() == ["test.library", "test.notices"]
    settings.RELAY = {**settings.RELAY, "FOREIGN_TOPICS": ["test.notices"]}
    assert list_own_topics() == ["test.library"]


def test_consumers_whose_cursors_went_back_catch_up_although_their_offsets_are_ahead(
    operated: Readers, log: list[Delivery]
) -> None:
    """The database went back behind Ada and Bob, whose events are in it: Kafka does not deliver them again."""
    book = uuid4()
    log += lend(book, "Ada", "Bob")
    log.append(make_phantom(book))
    mark_published()
    operate(*RESTORE)
    assert sweep(operated.consumer, "raise") == [("test.library", str(book))]
    assert operated.applied(book) == ["Ada", "Bob"]
    lend(book, "Cleo")
    deliver_all(operated.consumer)
    assert operated.applied(book) == ["Ada", "Bob", "Cleo"]
    operated.consumer.process(deliver(book))
    make_due()
    assert not Cursor.objects.exclude(parked_at=None).exists()
