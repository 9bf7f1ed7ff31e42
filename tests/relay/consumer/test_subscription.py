"""Membership in a consumer group, with the real broker."""

import time
from uuid import uuid4

import pytest

from relay.consumer import subscription
from relay.consumer.deliveries import Delivery, Place
from relay.operations import cluster
from relay.publisher.outbox import hash_key
from relay.publisher.topics import known_topics
from tests.relay.events import BookLent
from tests.relay.forwarding import send_to_kafka

pytestmark = pytest.mark.usefixtures("parts")


def send(book: BookLent) -> None:
    send_to_kafka([Delivery(book.topic, 0, 0, book.key, 1, book.type_name(), book.encode())])


def receive(member: subscription.Subscription, book: BookLent) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(delivery.key == book.key for delivery in member.poll(seconds=0.25)):
            return True
    return False


def test_uncommitted_records_are_delivered_to_the_next_member() -> None:
    cluster.create_topics(known_topics())
    group, book = f"readers-{uuid4()}", BookLent(book=uuid4())
    send(book)
    for _ in range(2):
        member = subscription.Subscription(group, ["test.library"])
        assert receive(member, book)
        member.close()


def test_a_committed_record_is_not_delivered_again() -> None:
    cluster.create_topics(known_topics())
    group, first, second = f"readers-{uuid4()}", BookLent(book=uuid4()), BookLent(book=uuid4())
    send(first)
    member = subscription.Subscription(group, ["test.library"])
    seen: list[Delivery] = []
    while not any(delivery.key == first.key for delivery in seen):
        seen += member.poll(seconds=0.25)
    member.commit(seen)
    member.close()
    send(second)
    member = subscription.Subscription(group, ["test.library"])
    seen = []
    while not any(delivery.key == second.key for delivery in seen):
        seen += member.poll(seconds=0.25)
    member.close()
    assert first.key not in {delivery.key for delivery in seen}


def test_a_partition_counts_as_polled_only_without_a_backlog_and_an_empty_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "FEW_RECORDS", 3)
    topic = f"test.polled.{uuid4().hex[:8]}"
    cluster.create_topics([topic])
    book = BookLent(book=uuid4())
    delivery = Delivery(topic, 0, 0, book.key, 1, book.type_name(), book.encode())
    send_to_kafka([delivery] * 20)
    full = hash_key(book.key) % 3
    member = subscription.Subscription(f"readers-{uuid4()}", [topic])
    seen: list[Delivery] = []
    deadline = time.monotonic() + 60
    while len(seen) < 17:
        assert Place(topic, full, 3) not in member.find_polled()
        seen += member.poll(seconds=0.25, records=1)
        assert time.monotonic() < deadline
    while sorted(member.find_polled()) != [Place(topic, number, 3) for number in range(3)]:
        seen += member.poll(seconds=0.25, records=1)
        assert time.monotonic() < deadline
    member.close()


def test_a_rejoin_that_outlasts_a_poll_is_not_forgotten() -> None:
    """New metadata makes the group's leader rejoin, and the poll that began the rejoin ends before it completes."""
    cluster.create_topics(known_topics())
    member = subscription.Subscription(f"readers-{uuid4()}", ["test.library"])
    first, second = BookLent(book=uuid4()), BookLent(book=uuid4())
    send(first)
    assert receive(member, first)
    coordinator = member._consumer._coordinator
    join = coordinator._do_join_and_sync_async

    async def join_slowly() -> bytes:
        assignment: bytes = await join()
        await coordinator._manager._net.sleep(0.5)
        return assignment

    coordinator._do_join_and_sync_async = join_slowly
    coordinator._assignment_snapshot = {"test.library": {0}}
    member.poll(seconds=0.2)
    assert coordinator.rejoining
    deadline = time.monotonic() + 60
    while coordinator.rejoining and time.monotonic() < deadline:
        member.poll(seconds=0.1)
    assert not coordinator.rejoining
    send(second)
    assert receive(member, second)
    member.close()
