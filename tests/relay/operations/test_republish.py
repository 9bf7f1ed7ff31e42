"""After Kafka has lost a topic or its newest records, the relays send the events again, in order within each key."""

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone
from kafka import TopicPartition

from relay.forwarder.forwarder import Forwarder
from relay.models import Intervention, Outbox, Stream
from relay.operations import cluster
from relay.operations import republish as republish_module
from relay.publisher.topics import known_topics
from tests.relay.events import BookLent, NoticePosted
from tests.relay.forwarding import (
    find_first_occurrences,
    forward_all,
    forward_until,
    publish_committed,
    read_key,
    running,
    wait_until_published,
)
from tests.relay.operated import operate, operate_json

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]
TOPIC = "test.library"


def lose_topic() -> None:
    """Delete the topic with all its records, and wait until it is gone."""
    with cluster._admin() as admin:
        admin.delete_topics([TOPIC])
        deadline = time.monotonic() + 60
        while TOPIC in admin.list_topics():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def lose_records() -> None:
    """Truncate the topic: it exists, but has no record."""
    with cluster._admin() as admin:
        admin.delete_records({TopicPartition(TOPIC, number): -1 for number in range(3)})


def read_sequences() -> dict[str, list[int]]:
    """Return the sequence numbers of each key in the topic, in the order of the log."""
    found = defaultdict[str, list[int]](list)
    for delivery in cluster.read_log([TOPIC]):
        found[delivery.key].append(delivery.sequence)
    return found


def words(since: str, *more: str) -> tuple[str, ...]:
    return ("relay_republish", "--topic", TOPIC, "--since", since, "--reason", "the topic was deleted", *more)


def lend_books(books: list[UUID], times: int) -> None:
    for number in range(times):
        publish_committed(*[BookLent(book=book, reader=f"reader {number}") for book in books])


def test_a_topic_that_was_deleted_gets_all_events_in_order_also_those_published_meanwhile(forwarder: Forwarder) -> None:
    """The command runs before the topic is created again, so that even the first occurrences are in order."""
    books, before = [uuid4() for _ in range(30)], timezone.now().isoformat()
    lend_books(books, 4)
    publish_committed(NoticePosted(board="other topic"))
    forward_all(forwarder)
    lose_topic()
    lend_books(books[:20], 1)  # cannot be sent: the topic is missing
    for _ in range(20):
        forwarder.forward_round()
    result = operate_json(*words(before))["republished"]
    assert (result["keys"], result["rows"], result["pruned_events"]) == (30, 140, 0)
    lend_books(books[:10], 1)
    forwarder._forget()  # as after the error that the lost leases cause, at most a second after the command
    cluster.create_topics(known_topics())
    for _attempt in range(5):  # Kafka may need longer for the new topic than one call waits
        forward_all(forwarder, quiet=6.0, seconds=60)
        if not Outbox.objects.filter(published_at=None).exists():
            break
    assert Outbox.objects.filter(published_at=None).count() == 0
    sequences = read_sequences()
    assert [list(dict.fromkeys(sequences[str(book)])) for book in books] == [
        list(range(1, 5 + (number < 20) + (number < 10))) for number in range(30)
    ]
    rows = Outbox.objects.filter(topic=TOPIC).values_list("key", "sequence", "body")
    assert {(d.key, d.sequence, d.value.decode()) for d in cluster.read_log([TOPIC])} == {*rows}
    assert find_first_occurrences(read_key("other topic")) == [1]
    audit = Intervention.objects.get()
    assert (audit.action, audit.topic, audit.reason) == ("republish", TOPIC, "the topic was deleted")


@pytest.mark.parametrize("lose", [lose_records, lose_topic])
def test_events_sent_between_the_loss_and_the_repair_come_again_behind_the_older_ones(
    lose: Callable[[], object], forwarder: Forwarder
) -> None:
    """Running relays, and publishers that never stop. Each key's last occurrences are 1, 2, 3 …, in order."""
    books, before = [uuid4() for _ in range(20)], timezone.now().isoformat()
    lend_books(books, 5)
    forward_all(forwarder)
    lose()
    cluster.create_topics(known_topics())
    other = Forwarder()
    with running(forwarder, other):
        lend_books(books, 2)
        wait_until_published()
        assert "the relays send 140 events of 20 keys again" in operate(*words(before))
        lend_books(books, 3)
        wait_until_published()
    for numbers in map(read_sequences().get, map(str, books)):
        assert numbers
        last = [number for place, number in enumerate(numbers) if number not in numbers[place + 1 :]]
        assert last == list(range(1, 11))


def test_only_keys_of_the_time_are_sent_again_and_their_later_events_too(forwarder: Forwarder) -> None:
    early, lost, late = uuid4(), uuid4(), uuid4()
    publish_committed(BookLent(book=early))
    forward_all(forwarder)
    since = timezone.now().isoformat()
    publish_committed(BookLent(book=lost))
    forward_all(forwarder)
    until = timezone.now().isoformat()
    publish_committed(BookLent(book=lost), BookLent(book=late))
    forward_all(forwarder)
    assert operate_json(*words(since, "--until", until, "--dry-run"))["republished"]["rows"] == 2
    assert (Outbox.objects.filter(published_at=None).count(), Intervention.objects.count()) == (0, 0)
    operate(*words(since, "--until", until))
    assert list(Outbox.objects.filter(published_at=None).order_by("position").values_list("key", "sequence")) == [
        (str(lost), 1),
        (str(lost), 2),
    ]
    forwarder._forget()
    forward_all(forwarder, quiet=3.0)
    sequences = read_sequences()
    assert [sequences[str(book)] for book in (early, lost, late)] == [[1], [1, 2, 1, 2], [1]]


def test_a_row_in_flight_is_not_marked_and_comes_again_behind_the_older_ones(forwarder: Forwarder) -> None:
    """The relay has sent the newest event when the command runs, and notices afterwards that it has lost its leases."""
    book, since = uuid4(), timezone.now().isoformat()
    publish_committed(BookLent(book=book), BookLent(book=book))
    forward_all(forwarder)
    publish_committed(BookLent(book=book))
    forward_until(forwarder, lambda: any(queue.in_flight for queue in forwarder._queues))
    operate(*words(since))
    with running(forwarder):
        wait_until_published()
    assert read_sequences()[str(book)] == [1, 2, 3, 1, 2, 3]


def test_a_repetition_repairs_an_interrupted_call(forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(republish_module, "CHUNK_KEYS", 1)
    books, since = [uuid4() for _ in range(3)], timezone.now().isoformat()
    lend_books(books, 2)
    forward_all(forwarder)
    last = Outbox.objects.latest("position").position
    forward_until(forwarder, lambda: forwarder._find_low_watermark() >= last)
    forwarder._renew()

    def interrupt(text: str) -> None:
        if "2 of 3" in text:
            raise KeyboardInterrupt

    loss = republish_module.Loss(TOPIC, datetime.fromisoformat(since), timezone.now())
    with pytest.raises(KeyboardInterrupt):
        republish_module.republish(loss, actor="eve", reason="lost", report=interrupt)
    assert Outbox.objects.filter(published_at=None).count() == 4
    forward_all(forwarder, quiet=1.5)
    assert Outbox.objects.filter(published_at=None).count() == 4, "the relays do not read below their marks"
    with running(forwarder):
        text = operate(*words(since, "--wait", "20"))
    assert "the relays send 6 events of 3 keys again" in text
    assert "the relays have sent all" in text
    assert [read_sequences()[str(book)] for book in books] == [[1, 2, 1, 2]] * 3


def test_pruned_events_are_named_as_not_restorable(forwarder: Forwarder) -> None:
    book, other = uuid4(), uuid4()
    publish_committed(*[BookLent(book=book) for _ in range(3)], BookLent(book=other))
    forward_all(forwarder)
    Outbox.objects.filter(key=str(book), sequence__lte=2).delete()
    Stream.objects.filter(key=str(book)).update(floor=2)
    text = operate(*words("2020-01-01T00:00Z", "--dry-run"))
    assert "would send 2 events of 2 keys again" in text
    assert f"not restorable: 2 older events of 1 keys are pruned: {book}" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"--topic": "test.libary"},
            "no event was ever published to the topic 'test.libary'; the outbox has: test.library",
        ),
        ({"--since": "2999-01-01T00:00Z"}, "--since 2999-01-01 00:00:00[+]00:00 is in the future"),
        ({"--until": "2001-01-01T00:00Z"}, "--until 2001-01-01 .* is before --since 2002-"),
        ({"--until": "2003-01-01T00:00Z"}, "has no event of 'test.library' that was published from 2002-"),
        ({"--since": "yesterday"}, "invalid read_time value: 'yesterday'"),
        ({"--reason": " "}, "a reason is needed"),
    ],
)
def test_wrong_arguments_are_refused_with_the_reason(change: dict[str, str], message: str) -> None:
    publish_committed(BookLent(book=uuid4()))
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set published_at = now()")
    given = {"--topic": TOPIC, "--since": "2002-01-01T00:00Z", "--reason": "lost"} | change
    with pytest.raises(CommandError, match=message):
        operate("relay_republish", *[word for pair in given.items() for word in pair])
    assert Outbox.objects.filter(published_at=None).count() == 0
