"""The forwarder with a real broker: no loss, order within each key, and no row marked before it is in the log."""

import time
from contextlib import closing
from uuid import uuid4

import pytest
from django.db import transaction
from pytest_django.fixtures import Settings

from relay import BrokerUnavailable, publish_many
from relay.forwarder import batches
from relay.forwarder import forwarder as forwarder_module
from relay.forwarder import reader as reader_module
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.messages import make_message
from relay.forwarder.producer import Sending
from relay.heartbeat import read_processes
from relay.models import Outbox
from tests.relay.events import BookLent, BookReturned, NoticePosted
from tests.relay.forwarding import (
    find_first_occurrences,
    forward_all,
    forward_until,
    publish_committed,
    publish_late,
    read_key,
    running,
    wait_until_published,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


@pytest.fixture(params=["whole batches", "send()"])
def sender(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to give records to kafka-python: whole batches and send()."""
    if request.param == "send()":
        monkeypatch.setattr(batches, "_VERSION", "another")
    return str(request.param)


@pytest.mark.usefixtures("sender")
def test_events_of_a_key_arrive_in_order_with_their_cloudevents_attributes(forwarder: Forwarder) -> None:
    book = uuid4()
    lent = BookLent(book=book, reader="Ada Ω \\ \n")
    publish_committed(lent, BookReturned(book=book))
    publish_committed(*[BookLent(book=book) for _ in range(200)])
    forward_all(forwarder)
    received = read_key(book)
    assert [delivery.sequence for delivery in received] == list(range(1, 203))
    assert [delivery.type for delivery in received[:3]] == ["BookLent.v1", "BookReturned.v1", "BookLent.v1"]
    assert BookLent.decode(received[0].value) == lent
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_the_heartbeat_shows_how_the_relay_sends(forwarder: Forwarder, sender: str) -> None:
    publish_committed(BookLent(book=uuid4()))
    forward_all(forwarder)
    forwarder._pulse.beat()
    (process,) = read_processes()
    assert process.fallback == ("" if sender == "whole batches" else "kafka-python is 3.0.12, not another")


def test_headers_are_cloudevents_attributes_in_binary_mode() -> None:
    publish_committed(lent := BookLent(book=uuid4()))
    (row,), _ = reader_module.Reader().read(range(16))
    message = make_message(row, b"/library")
    assert (message.key, message.value) == (lent.key.encode(), lent.encode())
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": str(lent.event_id).encode(),
        "ce_type": b"BookLent.v1",
        "ce_source": b"/library",
        "ce_subject": lent.key.encode(),
        "ce_time": lent.occurred_at.isoformat(timespec="microseconds").encode(),
        "ce_sequence": b"1",
        "content-type": b"application/json",
    }


def test_rows_read_while_no_broker_answered_are_not_forgotten(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = uuid4()

    def refuse_to_connect() -> None:
        raise BrokerUnavailable("nobody answers")

    with monkeypatch.context() as away:
        away.setattr(forwarder_module, "Producer", refuse_to_connect)
        with running(forwarder) as (stopping,):
            publish_committed(BookLent(book=book))
            time.sleep(2)  # the row is read repeatedly, even after its transaction is known to have ended
            away.undo()
            publish_committed(BookLent(book=book))
            wait_until_published()
            stopping.set()
    assert [delivery.sequence for delivery in read_key(book)] == [1, 2]


def test_a_late_commit_is_still_published(forwarder: Forwarder) -> None:
    """The row that commits last has the lowest position. A relay that reads only above its last position loses it."""
    late, early = uuid4(), uuid4()
    with closing(publish_late(BookLent(book=late))) as writer:
        publish_committed(BookLent(book=early))
        forward_all(forwarder)
        assert read_key(early) and not read_key(late)
        writer.commit()
    publish_committed(BookReturned(book=late))
    forward_all(forwarder)
    assert Outbox.objects.get(key=str(late), sequence=1).position < Outbox.objects.get(key=str(early)).position
    assert [delivery.sequence for delivery in read_key(late)] == [1, 2]


def test_a_batch_without_an_acknowledgement_stays_unpublished_and_is_sent_again_in_order(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine, failing = uuid4(), uuid4()
    publish_committed(BookLent(book=fine))
    publish_committed(*[BookLent(book=failing) for _ in range(3)])
    outcome = Sending.error
    failed: list[object] = []

    def fail_once(sending: Sending) -> Exception | None:
        flights = [queue.in_flight for queue in forwarder._queues if queue.in_flight]
        rows = next((in_flight.rows for in_flight in flights if in_flight.sending is sending), None)
        if len(failed) < 2 and (rows is None or rows[0].key == str(failing).encode()):
            failed.append(sending)
            return BrokerUnavailable("no answer")
        return outcome.fget(sending)  # type: ignore[attr-defined, no-any-return]

    with monkeypatch.context() as patch:
        patch.setattr(Sending, "error", property(fail_once))
        forward_all(forwarder, quiet=1.0)  # both books may share a partition, whose second pause is longer
    assert failed
    assert find_first_occurrences(read_key(failing)) == [1, 2, 3]
    assert find_first_occurrences(read_key(fine)) == [1]
    assert Outbox.objects.filter(published_at=None).count() == 0


@pytest.mark.usefixtures("sender")
def test_a_record_that_kafka_refuses_parks_its_key_alone_until_it_is_redriven(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.publisher.outbox.MAX_EVENT_BYTES", 4_000_000)
    boards = [f"{uuid4()}" for _ in range(30)]
    big = boards[7]
    publish_committed(*[NoticePosted(board=board) for board in boards[:7]])
    # Random text does not compress below the limit.
    publish_committed(NoticePosted(board=big, text="".join(str(uuid4()) for _ in range(80_000))))
    publish_committed(NoticePosted(board=big, text="waits behind it"))
    publish_committed(*[NoticePosted(board=board) for board in boards[8:]])
    forward_all(forwarder)
    refused = Outbox.objects.exclude(refused_reason=None).get()
    assert (refused.key, refused.sequence) == (big, 1)
    assert "TooLarge" in (refused.refused_reason or "")
    assert set(Outbox.objects.filter(published_at=None).values_list("key", flat=True)) == {big}
    Outbox.objects.filter(pk=refused.pk).update(body="{}", refused_reason=None)
    forwarder._renew()
    forward_all(forwarder)
    assert find_first_occurrences(read_key(big)) == [1, 2]


def test_refused_keys_with_many_events_hold_up_no_other_while_a_transaction_is_open(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the transaction is open, the stable position does not move, so each read starts at its position."""
    monkeypatch.setattr(reader_module, "READ_ROWS", 10)
    refused, fine = uuid4(), uuid4()
    with closing(publish_late(BookLent(book=uuid4()))) as writer:
        publish_committed(*[BookLent(book=refused) for _ in range(30)], BookLent(book=fine))
        Outbox.objects.filter(key=str(refused), sequence=1).update(refused_reason="too large")
        published = Outbox.objects.filter(key=str(fine)).exclude(published_at=None)
        forward_until(forwarder, published.exists)
        writer.commit()
    assert not read_key(refused)


def test_a_batch_over_the_brokers_limit_is_split(forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.forwarder.messages.BATCH_BYTES", 8_000_000)
    board = f"{uuid4()}"
    publish_committed(*[NoticePosted(board=board, text="".join(str(uuid4()) for _ in range(13_000))) for _ in range(4)])
    forward_all(forwarder)
    assert [delivery.sequence for delivery in read_key(board)] == [1, 2, 3, 4]
    assert Outbox.objects.exclude(refused_reason=None).count() == 0


def test_the_buffer_stays_bounded_with_any_backlog(forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.forwarder.buffer.BUFFER_ROWS", 60)
    monkeypatch.setattr("relay.forwarder.buffer.READ_ROWS", 20)
    monkeypatch.setattr(reader_module, "READ_ROWS", 20)
    monkeypatch.setattr(reader_module, "SPAN", 50)
    with transaction.atomic():
        publish_many([NoticePosted(board=str(number % 50), text=str(number)) for number in range(1000)])
    most = 0

    def count_held(label: str) -> None:
        nonlocal most
        most = max(most, len(forwarder._buffer.rows))

    monkeypatch.setattr("relay.process.failpoint.hook", count_held)
    forward_all(forwarder)
    assert 20 <= most <= 60
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_an_unavailable_broker_costs_only_time(
    forwarder: Forwarder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_committed(BookLent(book=uuid4()))
    servers = settings.RELAY["BOOTSTRAP_SERVERS"]
    monkeypatch.setitem(settings.RELAY, "BOOTSTRAP_SERVERS", ["127.0.0.1:1"])
    with pytest.raises(BrokerUnavailable):
        forward_all(forwarder)
    forwarder._forget()
    monkeypatch.setitem(settings.RELAY, "BOOTSTRAP_SERVERS", servers)
    forward_all(forwarder)
    assert Outbox.objects.filter(published_at=None).count() == 0
