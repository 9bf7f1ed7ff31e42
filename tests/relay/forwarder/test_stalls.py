"""Slow, failing or missing partitions are paused: no row is lost, and other partitions continue."""

import time
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from relay import BrokerUnavailable
from relay.conf import configuration
from relay.forwarder import reader as reader_module
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.lease import LeaseLost
from relay.forwarder.producer import Sending
from relay.forwarder.queues import PartitionQueue
from relay.models import Outbox, ShardLease
from relay.publisher.outbox import hash_key
from tests.relay.events import BookLent, NoticePosted
from tests.relay.forwarding import (
    end_leases,
    find_first_occurrences,
    forward_all,
    forward_until,
    make_books_of_a_partition,
    publish_committed,
    publish_late,
    read_key,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


def test_a_late_commit_in_a_batch_that_fails_is_sent_again(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is the last of its batch and has the lowest position, so the relay must read again from there."""
    late, early = make_books_of_a_partition()
    with closing(publish_late(BookLent(book=late))) as writer, monkeypatch.context() as patch:
        patch.setattr(PartitionQueue, "is_ready", False)
        publish_committed(BookLent(book=early))
        forward_until(forwarder, lambda: len(forwarder._buffer.rows) == 1)
        writer.commit()
        last = Outbox.objects.latest("position").position
        forward_until(forwarder, lambda: len(forwarder._buffer.rows) == 2 and forwarder._reader.clean >= last)
    failed: list[object] = []
    outcome = Sending.error

    def fail_once(sending: Sending) -> Exception | None:
        failed.append(sending)
        return BrokerUnavailable("no answer") if len(failed) == 1 else outcome.fget(sending)  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(Sending, "error", property(fail_once))
        forward_all(forwarder, quiet=1.0)
    assert len(failed) > 1
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_a_late_commit_during_the_pause_of_its_partition_is_still_published(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay has not read the row when the pause begins, and its position is below all rows of the queue."""
    late, early = make_books_of_a_partition()
    with closing(publish_late(BookLent(book=late))) as writer, monkeypatch.context() as patch:
        patch.setattr(Sending, "done", False)
        patch.setattr("relay.forwarder.queues.SLOW_SECONDS", 0.05)
        publish_committed(BookLent(book=early))
        forward_until(forwarder, lambda: bool(forwarder._queues.stalls))
        writer.commit()
        last = Outbox.objects.get(key=str(early)).position
        forward_until(forwarder, lambda: forwarder._reader.clean >= last)
    forward_all(forwarder)
    assert [delivery.sequence for delivery in read_key(late)] == [1]
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_rows_taken_over_from_another_relay_during_a_pause_are_still_published(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their positions are below the rows of this relay in the paused partition."""
    theirs, ours = make_books_of_a_partition()
    forwarder.forward_round()
    shard = hash_key(str(theirs)) % 16
    ShardLease.objects.filter(shard=shard).update(owner="killed", epoch=7)
    with suppress(LeaseLost):
        forwarder.leases.renew(0)
    forwarder._forget()
    publish_committed(BookLent(book=theirs))
    forward_until(forwarder, lambda: forwarder._reader.clean >= Outbox.objects.get().position)
    publish_committed(BookLent(book=ours))
    with monkeypatch.context() as patch:
        patch.setattr(Sending, "done", False)
        patch.setattr("relay.forwarder.queues.SLOW_SECONDS", 0.05)
        forward_until(forwarder, lambda: bool(forwarder._queues.stalls))
        end_leases("killed")
        forward_until(forwarder, lambda: shard in forwarder.leases.working)
        last = Outbox.objects.latest("position").position
        forward_until(forwarder, lambda: forwarder._reader.clean >= last)
    forward_all(forwarder)
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_a_silent_partition_that_fills_the_buffer_does_not_block_others(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.forwarder.buffer.BUFFER_ROWS", 40)
    monkeypatch.setattr("relay.forwarder.buffer.READ_ROWS", 20)
    monkeypatch.setattr(reader_module, "READ_ROWS", 20)
    monkeypatch.setattr("relay.forwarder.queues.SLOW_SECONDS", 0.3)
    silent = uuid4()
    queues = configuration().partitions
    fine = next(other for other in iter(uuid4, None) if (hash_key(str(other)) - hash_key(str(silent))) % queues)
    publish_committed(*[BookLent(book=silent) for _ in range(60)], BookLent(book=fine))
    outcome = Sending.done

    def be_silent(sending: Sending) -> bool:
        silent_queue = forwarder._queues.find(b"test.library", hash_key(str(silent)))
        silenced = silent_queue.in_flight is not None and silent_queue.in_flight.sending is sending
        return not silenced and outcome.fget(sending)  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(Sending, "done", property(be_silent))
        published = Outbox.objects.filter(key=str(fine)).exclude(published_at=None)
        forward_until(forwarder, published.exists, seconds=4)
    forward_all(forwarder, quiet=1.0)
    assert find_first_occurrences(read_key(silent)) == list(range(1, 61))
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_a_missing_topic_does_not_block_others(forwarder: Forwarder) -> None:
    book = uuid4()
    publish_committed(NoticePosted(board="lost"), BookLent(book=book))
    Outbox.objects.filter(key="lost").update(topic="test.nowhere")
    forward_all(forwarder)
    assert [delivery.sequence for delivery in read_key(book)] == [1]
    assert Outbox.objects.filter(published_at=None).get().key == "lost"
    assert forwarder._find_low_watermark() < Outbox.objects.get(key="lost").position


def test_a_failing_round_does_not_wait_for_partitions_without_a_leader(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One partition fails. Two partitions do not answer; the relay knows this, and must not wait for them."""
    books = [next(book for book in iter(uuid4, None) if hash_key(str(book)) % 3 == number) for number in range(3)]
    publish_committed(*[BookLent(book=book) for book in books])
    waits: list[float] = []
    outcome = Sending.done

    def is_answered(sending: Sending) -> bool:
        failing = forwarder._queues.find(b"test.library", 0)
        answered = failing.in_flight is not None and failing.in_flight.sending is sending
        return answered and outcome.fget(sending)  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr("relay.forwarder.queues.SLOW_SECONDS", 0.05)
        patch.setattr(Sending, "done", False)
        forward_until(forwarder, lambda: len(forwarder._queues.stalls) == 3)
        patch.setattr(Sending, "done", property(is_answered))
        patch.setattr(Sending, "error", BrokerUnavailable("no leader"))
        patch.setattr("relay.forwarder.forwarder.time", SimpleNamespace(**vars(time) | {"sleep": waits.append}))
        forward_until(forwarder, lambda: forwarder._producer is None)
    assert waits == []
    for stall in forwarder._queues.stalls:
        stall.until = 0.0
    forward_all(forwarder, quiet=1.0)
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_all_partitions_that_fail_in_one_round_are_paused(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one fails while the relay handles the first failure."""
    books = [next(book for book in iter(uuid4, None) if hash_key(str(book)) % 3 == number) for number in range(2)]
    publish_committed(*[BookLent(book=book) for book in books])
    outcome, allowed = Sending.done, list[Sending]()

    def sendings() -> list[Sending]:
        return [queue.in_flight.sending for queue in forwarder._queues if queue.in_flight]

    def is_answered(sending: Sending) -> bool:
        return sending in allowed and outcome.fget(sending)  # type: ignore[attr-defined]

    def answer_all_and_drain() -> Any:
        allowed.extend(sendings())
        return drain()

    drain = forwarder._drain
    with monkeypatch.context() as patch:
        patch.setattr(Sending, "error", BrokerUnavailable("no leader"))
        patch.setattr(Sending, "done", property(is_answered))
        patch.setattr(forwarder, "_drain", answer_all_and_drain)
        forward_until(forwarder, lambda: len(sendings()) == 2)
        allowed.append(sendings()[0])
        forward_until(forwarder, lambda: forwarder._producer is None)
        assert len(forwarder._queues.stalls) == 2
    forward_all(forwarder, quiet=1.0)
    assert Outbox.objects.filter(published_at=None).count() == 0
