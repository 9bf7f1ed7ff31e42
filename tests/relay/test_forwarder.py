"""The forwarder against the real broker."""

import threading
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from relay import forwarder as forwarder_module
from relay import kafka
from relay.forwarder import Forwarder, LeaseLost
from relay.models import Outbox
from relay.outbox import publish
from relay.topics import known_topics
from tests.relay.events import BookLent, BookReturned, NoticePosted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


@pytest.fixture
def forwarder(library_events: None) -> Iterator[Forwarder]:
    kafka.create_topics(known_topics())
    relay = Forwarder(name=f"relay-{uuid4()}")
    yield relay
    relay._drop_producer()


def publish_committed(*events: BookLent | BookReturned | NoticePosted) -> None:
    with transaction.atomic():
        for event in events:
            publish(event)


def forward_all(forwarder: Forwarder) -> None:
    idle_rounds = 0
    while idle_rounds < 3:  # a refused record costs a round in which nothing is marked
        idle_rounds = 0 if forwarder.forward_round() else idle_rounds + 1


def read_key(key: UUID | str) -> list[kafka.Delivery]:
    return [delivery for delivery in kafka.read_log(["test.library", "test.notices"]) if delivery.key == str(key)]


def test_events_of_a_key_arrive_in_order_with_their_cloudevents_attributes(forwarder: Forwarder) -> None:
    book = uuid4()
    lent = BookLent(book=book)
    publish_committed(lent, BookReturned(book=book))
    publish_committed(BookLent(book=book))
    forward_all(forwarder)
    received = read_key(book)
    assert [(d.sequence, d.type) for d in received] == [(1, "BookLent.v1"), (2, "BookReturned.v1"), (3, "BookLent.v1")]
    assert BookLent.decode(received[0].value) == lent
    assert Outbox.objects.filter(published_at=None).count() == 0


def test_headers_are_those_of_cloudevents_in_binary_mode() -> None:
    publish_committed(lent := BookLent(book=uuid4()))
    record = forwarder_module.make_record(forwarder_module.fetch_unpublished(1)[0])
    headers = dict(record.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"].decode() == str(lent.event_id)
    assert headers["ce_type"] == b"BookLent.v1"
    assert headers["ce_source"] == b"/shop"
    assert headers["ce_sequence"] == b"1"
    assert headers["content-type"] == b"application/json"


def test_a_late_commit_is_still_published(forwarder: Forwarder) -> None:
    """The row that commits last has the lowest position: a relay that reads by position loses it."""
    late, early = uuid4(), uuid4()
    began, may_commit = threading.Event(), threading.Event()

    def publish_slowly() -> None:
        try:
            with transaction.atomic():
                publish(BookLent(book=late))
                began.set()
                may_commit.wait(10)
        finally:
            connection.close()

    writer = threading.Thread(target=publish_slowly)
    writer.start()
    assert began.wait(10)
    publish_committed(BookLent(book=early))
    forward_all(forwarder)
    assert read_key(early) and not read_key(late)
    may_commit.set()
    writer.join()
    forward_all(forwarder)
    assert Outbox.objects.get(key=str(late)).position < Outbox.objects.get(key=str(early)).position
    assert [delivery.sequence for delivery in read_key(late)] == [1]


def test_a_row_whose_send_failed_stays_unpublished_and_is_sent_again(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine, failing = uuid4(), uuid4()
    publish_committed(BookLent(book=fine))
    publish_committed(BookLent(book=failing), BookReturned(book=failing))
    send = kafka.Producer.send

    def fail_some(producer: kafka.Producer, records: list[kafka.Outgoing]) -> list[Exception | None]:
        first = next(index for index, record in enumerate(records) if record.key == str(failing))
        outcomes = send(producer, records)
        outcomes[first] = kafka.BrokerUnavailable("no answer")
        return outcomes

    with monkeypatch.context() as patch:
        patch.setattr(kafka.Producer, "send", fail_some)
        with pytest.raises(kafka.BrokerUnavailable):
            forwarder.forward_round()
    # What follows the failure in its key is not marked either, although it was acknowledged.
    assert set(Outbox.objects.exclude(published_at=None).values_list("key", flat=True)) == {str(fine)}
    forward_all(forwarder)
    first_occurrences = list(dict.fromkeys(delivery.sequence for delivery in read_key(failing)))
    assert first_occurrences == [1, 2]


def test_a_record_that_kafka_refuses_parks_its_key_alone(forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.outbox.MAX_EVENT_BYTES", 4_000_000)
    publish_committed(NoticePosted(board="a"))
    # Random text does not compress below the limit.
    publish_committed(NoticePosted(board="big", text="".join(str(uuid4()) for _ in range(80_000))))
    publish_committed(NoticePosted(board="big", text="waits behind it"))
    publish_committed(NoticePosted(board="b"))
    forward_all(forwarder)
    refused = Outbox.objects.exclude(refused_reason=None).get()
    assert (refused.key, refused.sequence) == ("big", 1)
    assert "TooLarge" in (refused.refused_reason or "")
    published = set(Outbox.objects.exclude(published_at=None).values_list("key", flat=True))
    assert published == {"a", "b"}


def test_a_relay_whose_lease_was_taken_over_marks_nothing(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = uuid4()
    publish_committed(BookLent(book=book))
    other = Forwarder(name=forwarder.lease.name)

    def lose_lease(label: str) -> None:
        if label == "relay.sent":
            with connection.cursor() as cursor:
                cursor.execute("update relay_lease set until = clock_timestamp() - interval '1 s'")
            assert other.lease.take()

    with monkeypatch.context() as patch:
        patch.setattr("relay.failpoint.hook", lose_lease)
        with pytest.raises(LeaseLost):
            forwarder.forward_round()
    assert Outbox.objects.get().published_at is None
    assert other.forward_round() == 1
    other._drop_producer()
    assert {delivery.sequence for delivery in read_key(book)} == {1}


def test_only_the_owner_of_the_lease_forwards(forwarder: Forwarder) -> None:
    publish_committed(BookLent(book=uuid4()))
    second = Forwarder(name=forwarder.lease.name)
    assert forwarder.lease.take()
    assert second.forward_round() == 0
    forwarder.lease.release()
    assert second.forward_round() == 1
    second._drop_producer()


def test_a_broker_that_is_away_costs_nothing_but_time(
    forwarder: Forwarder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_committed(BookLent(book=uuid4()))
    servers = settings.RELAY["BOOTSTRAP_SERVERS"]
    monkeypatch.setitem(settings.RELAY, "BOOTSTRAP_SERVERS", ["127.0.0.1:1"])
    with pytest.raises(kafka.BrokerUnavailable):
        forwarder.forward_round()
    monkeypatch.setitem(settings.RELAY, "BOOTSTRAP_SERVERS", servers)
    assert forwarder.forward_round() == 1
