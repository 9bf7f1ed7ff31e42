"""Streams whose events neither the outbox nor Kafka holds are deleted with their cursors, and can begin again."""

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from relay import publish
from relay.models import Cursor, Intervention, Outbox, Stream
from relay.operations.streams import prune_streams
from tests.relay.events import BookLent
from tests.relay.operated import mark_published, operate, operate_json, operated
from tests.relay.operations.test_prune import SIZE, _start_in_the_first_partition, go_to
from tests.relay.readers import Readers, lend

__all__ = ["_start_in_the_first_partition", "operated"]
pytestmark = pytest.mark.django_db
WEEK_MS = 7 * 24 * 3600 * 1000


@pytest.fixture
def past(operated: Readers, settings: Settings) -> list[UUID]:
    """Three books of a topic with a retention, whose events are applied and pruned, in the order of their keys."""
    settings.RELAY = {**settings.RELAY, "RETENTION_MS": {"test.library": WEEK_MS}}
    books = sorted((uuid4() for _ in range(3)), key=str)
    for book in books:
        operated.consumer.process(lend(book, "Ada", "Bob"))
    mark_published()
    Outbox.objects.update(created_at=timezone.now() - timedelta(days=40))
    go_to(SIZE)
    return books


def list_keys() -> list[str]:
    return sorted(Stream.objects.filter(topic="test.library").values_list("key", flat=True))


def test_streams_without_events_are_deleted_with_their_cursors_and_begin_again(
    operated: Readers, past: list[UUID]
) -> None:
    first, _, third = past
    assert operate_json("relay_prune", "--dry-run")["streams"] == {"test.library": 0}, "the outbox holds their events"
    assert "2 streams of test.library: deleted" in operate("relay_prune", "--actor", "eve")
    assert list_keys() == [str(first)], "one stream shows that events were pruned"
    assert set(Cursor.objects.filter(topic="test.library").values_list("key", flat=True)) == {str(first)}
    audit = Intervention.objects.get(before="streams")
    assert (audit.actor, audit.after) == ("eve", "2 streams of test.library")
    operated.consumer.process(lend(third, "Cleo"))
    assert operated.cursor(third).last == 1
    assert operated.applied(third) == ["Cleo"], "the events before are pruned"


def test_a_rebuild_is_still_refused(operated: Readers, past: list[UUID]) -> None:
    operated.consumer.rebuild = lambda: None
    operate("relay_prune")
    with pytest.raises(CommandError, match="are pruned: a rebuild would lack them"):
        operate("relay_replay", "readers", "--rebuild", "--reason", "test")


@pytest.mark.parametrize(
    "change",
    [
        "update relay_stream set last = 3",
        "update relay_cursor set last = 1",
        "update relay_cursor set parked_at = now()",
    ],
)
def test_a_stream_that_is_still_needed_is_kept(operated: Readers, past: list[UUID], change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = last")
        cursor.execute(change)
    assert prune_streams(actor="eve") == {"test.library": 0}
    assert len(list_keys()) == 3


@pytest.mark.parametrize("retention", [{}, {"test.library": 4 * WEEK_MS}, {"test.library": -1}])
def test_streams_that_kafka_may_still_hold_are_kept(
    operated: Readers, past: list[UUID], settings: Settings, retention: dict[str, int]
) -> None:
    settings.RELAY = {**settings.RELAY, "RETENTION_MS": retention}
    assert operate_json("relay_prune")["streams"] == {}
    assert len(list_keys()) == 3


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_published_during_the_pruning_continues_its_stream(
    operated: Readers, past: list[UUID]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("update relay_stream set floor = last")
    written, enough = threading.Event(), threading.Event()

    def publish_slowly() -> None:
        with transaction.atomic():
            publish(BookLent(book=past[2], reader="Dan"))
            written.set()
            enough.wait(20)
        connection.close()

    publisher = threading.Thread(target=publish_slowly)
    publisher.start()
    assert written.wait(20)
    assert prune_streams(actor="eve") == {"test.library": 1}
    enough.set()
    publisher.join()
    assert list_keys() == [str(past[0]), str(past[2])]
    assert Stream.objects.get(topic="test.library", key=past[2]).last == 3
