"""Partitions of the outbox are created ahead, and dropped only when no consumer needs their rows."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from relay import partitions, publish
from relay.models import Intervention, Outbox, Stream
from relay.operations.prune import prune
from relay.partitions import AHEAD, Partition, ensure_partitions, list_partitions, read_position
from tests.relay.events import BookLent
from tests.relay.operated import mark_published, operate, operate_json, operated
from tests.relay.readers import Readers, lend

__all__ = ["operated"]
pytestmark = pytest.mark.django_db
SIZE = 1_000_000


def go_to(position: int) -> None:
    """Let the next row get `position` + 1."""
    with connection.cursor() as cursor:
        cursor.execute("select setval(pg_get_serial_sequence('relay_outbox', 'position'), %s)", [position])


@pytest.fixture(autouse=True)
def _start_in_the_first_partition() -> Iterator[None]:
    go_to(1000)
    yield
    go_to(1000)


@pytest.fixture
def past(operated: Readers) -> UUID:
    """A book with three events, applied, published and 40 days old, in a full partition."""
    book = uuid4()
    operated.consumer.process(lend(book, "Ada", "Bob", "Cleo"))
    mark_published()
    Outbox.objects.update(created_at=timezone.now() - timedelta(days=40))
    go_to(SIZE)
    return book


def names() -> list[str]:
    return [partition.name for partition in list_partitions()]


def test_an_old_published_and_applied_partition_is_dropped_and_its_floors_are_raised(
    operated: Readers, past: UUID
) -> None:
    reported = operate_json("relay_prune", "--dry-run")["partitions"]
    assert [(one["name"], one["rows"], one["kept_because"]) for one in reported[:3]] == [
        ("relay_outbox_p0", 6, []),
        ("relay_outbox_p1", 0, ["it is not full yet"]),
        ("relay_outbox_p2", 0, ["it is still empty"]),
    ]
    assert Outbox.objects.count() == 6
    assert "relay_outbox_p0, positions 0 to 999999: dropped, 6 rows" in operate("relay_prune", "--actor", "eve")
    assert "relay_outbox_p0" not in names()
    assert Outbox.objects.count() == 0
    assert {(s.topic, s.floor) for s in Stream.objects.all()} == {("test.library", 3), ("test.notices", 3)}
    audit = Intervention.objects.get(action="prune")
    assert (audit.actor, audit.before, audit.after) == ("eve", "relay_outbox_p0", "6 rows, positions 0 to 999999")
    # The key continues, and a new consumer starts at the floor.
    (delivery,) = lend(past, "Dan")
    operated.consumer.process([delivery])
    assert operated.cursor(past).last == 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update relay_outbox set published_at = null where sequence = 2", "2 rows are unpublished"),
        ("update relay_outbox set refused_reason = 'x' where position = 1001", "1 rows are refused"),
        (
            "update relay_outbox set created_at = now() where position = 1001",
            r"1 rows are too young (rows are kept for 30",
        ),
        ("update relay_outbox set created_at = now()", "its newest row is from"),
        ("update relay_cursor set last = 2", "readers is behind in 1 keys"),
        ("delete from relay_cursor", "readers is behind in 1 keys"),
        ("update relay_cursor set last = 2, parked_at = now()", "readers is behind in 1 keys"),
    ],
)
def test_a_partition_with_a_row_that_is_still_needed_is_kept(
    operated: Readers, past: UUID, change: str, why: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(change)
    for words in (["--dry-run"], []):
        (first, *_) = operate_json("relay_prune", *words)["partitions"]
        assert not first["dropped"]
        assert why in " ".join(first["kept_because"])
    assert Outbox.objects.count() == 6
    assert not Stream.objects.exclude(floor=0).exists()


def test_events_of_a_topic_without_consumers_are_dropped_once_they_are_published(operated: Readers, past: UUID) -> None:
    Outbox.objects.filter(topic="test.library").delete()
    with connection.cursor() as cursor:
        cursor.execute("delete from relay_cursor")
    assert operate_json("relay_prune")["partitions"][0]["dropped"]


def test_a_gap_below_the_floor_parks_the_key_with_the_reason(operated: Readers, past: UUID) -> None:
    operate("relay_prune")
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set last = 1")
    operated.consumer.process(lend(past, "Dan"))
    assert operated.cursor(past).reason.startswith("MissingEvents: ")
    assert not operated.catch_up(past)
    assert "pruned" in operated.cursor(past).reason


def test_partitions_are_created_ahead_of_the_position(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "PARTITION_ROWS": 100}
    assert ensure_partitions() == []
    go_to(6 * SIZE - 250)
    made = ensure_partitions()
    assert [(one.first, one.end) for one in made] == [
        (6 * SIZE + n * 100, 6 * SIZE + (n + 1) * 100) for n in range(AHEAD - 2)
    ]
    assert ensure_partitions() == []
    go_to(6 * SIZE)
    lend(uuid4(), "Ada")
    with connection.cursor() as cursor:
        cursor.execute("select tableoid::regclass::text from relay_outbox")
        assert cursor.fetchall() == [(made[0].name,)]


def test_rows_in_the_default_partition_get_their_own_partition(settings: Settings, operated: Readers) -> None:
    settings.RELAY = {**settings.RELAY, "PARTITION_ROWS": 100}
    go_to(6 * SIZE + 40)
    book = uuid4()
    operated.consumer.process(lend(book, "Ada", "Bob"))
    assert not partitions.is_default_empty()
    made = ensure_partitions()
    assert made[0] == Partition(f"relay_outbox_from_{6 * SIZE}", 6 * SIZE, 6 * SIZE + 200)
    assert partitions.is_default_empty()
    assert len(made) == AHEAD
    operated.consumer.process(lend(book, "Cleo"))
    assert operated.applied(book) == ["Ada", "Bob", "Cleo"]
    assert Outbox.objects.filter(topic="test.library").count() == 3


def test_a_consumer_that_is_reset_while_the_floors_rise_keeps_the_partition(
    operated: Readers, past: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild between the check and the drop finds its events."""
    from relay.operations import prune as prune_module

    def set_back(verdict: prune_module.Verdict) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("delete from relay_cursor")
        return raise_floors(verdict)

    raise_floors = prune_module.raise_floors
    monkeypatch.setattr(prune_module, "raise_floors", set_back)
    (first, *_) = prune(actor="eve")
    assert first.kept_because == ["readers is behind again in 1 keys"]
    assert Outbox.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_publishing_does_not_wait_while_a_long_reader_locks_the_table(
    operated: Readers, past: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ATTEMPTS", 3)
    monkeypatch.setattr(partitions, "PAUSE_SECONDS", 0.05)
    reading, enough = threading.Event(), threading.Event()
    waits: list[float] = []

    def read_for_long() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select count(*) from relay_outbox")
            reading.set()
            enough.wait(20)
        connection.close()

    def sell() -> None:
        while not enough.is_set():
            began = timezone.now()
            with transaction.atomic():
                publish(BookLent(book=uuid4()))
            waits.append((timezone.now() - began).total_seconds())
        connection.close()

    threads = [threading.Thread(target=target) for target in (read_for_long, sell)]
    for thread in threads:
        thread.start()
    assert reading.wait(60)
    try:
        with pytest.raises(CommandError, match="lock timeout"):
            operate("relay_prune")
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert len(waits) > 10
    assert max(waits) < 0.5
    assert operate_json("relay_prune")["partitions"][0]["dropped"]
    with connection.cursor() as cursor:
        cursor.execute("create table relay_outbox_p0 partition of relay_outbox for values from (0) to (1000000)")
    assert read_position() > SIZE
