"""Relays create partitions of the outbox table before publishers need them, at any rate and after a jump."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

from relay import partitions
from relay.forwarder import headroom as headroom_module
from relay.forwarder.forwarder import Forwarder
from relay.models import Outbox
from relay.partitions import AHEAD, ensure_partitions, list_partitions, read_position
from tests.relay.events import BookLent
from tests.relay.forwarding import forward_until, publish_committed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]
SIZE = 100


@pytest.fixture(autouse=True)
def small_partitions(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let new partitions have 100 rows. Drop them after the test."""
    settings.RELAY = {**settings.RELAY, "PARTITION_ROWS": SIZE}
    monkeypatch.setattr(headroom_module, "RETRY_SECONDS", 0.05)
    before = {partition.name for partition in list_partitions()}
    yield
    with connection.cursor() as cursor:
        for partition in list_partitions():
            if partition.name not in before:
                cursor.execute(f"drop table {partition.name}")
    go_to(1000)


def go_to(position: int) -> None:
    """Let the next row get `position` + 1."""
    with connection.cursor() as cursor:
        cursor.execute("select setval(pg_get_serial_sequence('relay_outbox', 'position'), %s)", [position])


def find_end() -> int:
    return list_partitions()[-1].end


def has_headroom() -> bool:
    return find_end() > read_position() + AHEAD * SIZE


def test_the_relay_creates_partitions_while_events_fill_them(forwarder: Forwarder) -> None:
    start = find_end() - 1
    go_to(start)
    for _ in range(8):
        publish_committed(*[BookLent(book=uuid4()) for _ in range(SIZE)])
        forward_until(forwarder, has_headroom)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from relay_outbox_default")
        assert cursor.fetchone() == (0,), "the first chunk was published before the relay ran, and has a partition now"


def test_after_a_jump_a_single_partition_covers_the_unused_positions(forwarder: Forwarder) -> None:
    before = find_end()
    go_to(before + 1_000_000 * SIZE)
    forward_until(forwarder, has_headroom)
    made = [partition for partition in list_partitions() if partition.first >= before]
    assert (made[0].first, made[0].end) == (before, before + 1_000_000 * SIZE)
    assert len(made) <= AHEAD + 2
    publish_committed(BookLent(book=uuid4()))
    with connection.cursor() as cursor:
        cursor.execute("select tableoid::regclass::text from relay_outbox")
        assert cursor.fetchall() == [(made[1].name,)]


def test_a_locked_table_delays_the_partitions_but_not_the_relay(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail_at_first() -> list[partitions.Partition]:
        calls.append(1)
        if len(calls) < 3:
            raise OperationalError("canceling statement due to lock timeout")
        return ensure_partitions()

    monkeypatch.setattr(headroom_module, "ensure_partitions", fail_at_first)
    go_to(find_end() - 1)
    publish_committed(BookLent(book=uuid4()))
    forward_until(forwarder, has_headroom)
    forward_until(forwarder, lambda: not Outbox.objects.filter(published_at=None).exists())
    assert len(calls) >= 3


def test_two_processes_never_create_partitions_at_the_same_time() -> None:
    go_to(find_end())
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", [partitions._CREATING])
        assert ensure_partitions() == []
        cursor.execute("select pg_advisory_unlock(%s)", [partitions._CREATING])
    other.close()
    assert len(ensure_partitions()) >= AHEAD
