"""Records that the outbox does not contain are never applied: phantoms of a database that went back, and forgeries."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from relay import Consumer, publish
from relay.consumer import cursors, origin
from relay.consumer.breaker import Breaker
from relay.consumer.deliveries import Delivery
from relay.consumer.screening import Applied
from relay.models import Cursor, ForeignRecord, Intervention, Outbox
from tests.relay.events import BookLent, BookReturned
from tests.relay.readers import Readers, deliver, lend

pytestmark = pytest.mark.django_db


def make_phantom(book: UUID, reader: str = "Phantom") -> Delivery:
    """Return the delivery of an event that was published, and whose transaction the database then lost."""
    with transaction.atomic():
        publish(BookLent(book=book, reader=reader))
        delivery = deliver(book)[-1]
        transaction.set_rollback(True)
    return delivery


def forge(delivery: Delivery, reader: str) -> Delivery:
    """Return a copy of `delivery`, with its id, in which `reader` lends the book."""
    event = BookLent.decode(delivery.value)
    forged = BookLent(event_id=event.event_id, occurred_at=event.occurred_at, book=event.book, reader=reader)
    return delivery._replace(value=forged.encode())


@pytest.mark.parametrize("real_is_first", [False, True])
def test_a_phantom_is_parked_and_the_real_event_is_applied_after_a_redrive(
    readers: Readers, real_is_first: bool
) -> None:
    book = uuid4()
    readers.consumer.process(lend(book, "Ada"))
    phantom = make_phantom(book)
    real = lend(book, "Bob") if real_is_first else []
    readers.consumer.process([phantom])
    assert readers.applied(book) == ["Ada"]
    parked = readers.cursor(book)
    assert (parked.last, parked.next_try_at) == (1, None), "no automatic retry: the loss of a commit needs a person"
    found = f"the outbox has {real[1].event_id} (BookLent.v1)" if real else "the outbox has no event with this sequence"
    assert parked.reason.startswith(f"UnknownOrigin: Kafka's record of sequence 2 (test.library[{phantom.partition}]@")
    assert f"has event {phantom.event_id} (BookLent.v1)" in parked.reason
    assert found in parked.reason
    assert "run relay_after_restore" in parked.reason
    assert readers.consumer.figures["foreign"] == 1
    readers.consumer.process((real or lend(book, "Bob"))[1:])
    assert readers.applied(book) == ["Ada"]
    assert readers.catch_up(book)
    assert readers.applied(book) == ["Ada", "Bob"]
    readers.consumer.process(lend(book, "Cleo"))
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    assert readers.cursor(book).parked_at is None


def test_a_forgery_with_the_id_of_the_real_event_is_parked(readers: Readers) -> None:
    book = uuid4()
    real = lend(book, "Ada")
    readers.consumer.process([forge(real[0], "Mallory")])
    assert readers.applied(book) == []
    assert "its body differs from that event's row in the outbox" in readers.cursor(book).reason
    assert readers.catch_up(book)
    assert readers.applied(book) == ["Ada"]


def test_another_type_over_the_real_body_is_parked(readers: Readers) -> None:
    book = uuid4()
    readers.consumer.process([lend(book, "Ada")[0]._replace(type="BookReturned.v1")])
    assert readers.cursor(book).last == 0
    assert readers.cursor(book).reason.startswith("UnknownOrigin: ")


def test_a_forgery_far_ahead_is_parked_before_any_gap_is_healed(readers: Readers) -> None:
    book = uuid4()
    real = lend(book, "Ada", "Bob")
    readers.consumer.process([forge(real[1], "Mallory")._replace(sequence=900)])
    assert readers.applied(book) == []
    assert readers.cursor(book).reason.startswith("UnknownOrigin: Kafka's record of sequence 900 ")
    readers.consumer.process(real)
    assert readers.catch_up(book)
    assert readers.applied(book) == ["Ada", "Bob"]


def test_a_forgery_for_an_unknown_key_is_parked_and_a_redrive_removes_nothing_real(readers: Readers) -> None:
    book = uuid4()
    event = BookLent(book=book, reader="Mallory")
    readers.consumer.process([Delivery("test.library", 1, 7, event.key, 1, event.type_name(), event.encode())])
    assert readers.applied(book) == []
    assert (
        "(test.library[1]@7) has event without an id (BookLent.v1), and the outbox has no event"
        in readers.cursor(book).reason
    )
    assert readers.catch_up(book)
    readers.consumer.process(lend(book, "Ada"))
    assert readers.applied(book) == ["Ada"]


def test_a_record_that_cannot_be_decoded_and_is_not_from_the_outbox_is_not_retried(readers: Readers) -> None:
    readers.consumer.process([Delivery("test.library", 0, 1, "k", 1, "BookLentTwice.v9", b"\xff")])
    assert readers.cursor("k").reason.startswith("UnknownOrigin: ")
    assert readers.cursor("k").next_try_at is None


def test_a_repetition_with_another_body_is_stored_and_does_not_stop_the_key(readers: Readers) -> None:
    book = uuid4()
    real = lend(book, "Ada", "Bob")
    readers.consumer.process(real)
    readers.consumer.process([forge(real[0], "Mallory"), *lend(book, "Cleo")])
    assert readers.applied(book) == ["Ada", "Bob", "Cleo"]
    assert readers.consumer.figures["foreign"] == 1
    assert ForeignRecord.objects.get().sequence == 1
    assert origin.count_unexplained() == 1


def test_a_foreign_record_of_a_parked_key_is_stored_too(readers: Readers) -> None:
    book = uuid4()
    readers.failing[book] = ZeroDivisionError()
    readers.consumer.process(lend(book, "Ada"))
    reason = readers.cursor(book).reason
    readers.consumer.process([make_phantom(book)])
    assert ForeignRecord.objects.get().sequence == 2
    assert readers.cursor(book).reason == reason


def test_repeated_events_whose_rows_are_pruned_are_duplicates(readers: Readers) -> None:
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob")
    readers.consumer.process(deliveries)
    prune_up_to(book, 2)
    readers.consumer.process(deliveries)
    assert readers.consumer.figures["foreign"] == 0
    assert readers.consumer.figures["duplicates"] == 2


def test_an_event_that_can_no_longer_be_compared_is_parked(readers: Readers) -> None:
    """Only a consumer that RELAY["CONSUMERS"] does not name is behind a floor."""
    book = uuid4()
    deliveries = lend(book, "Ada", "Bob", "Cleo")
    readers.consumer.process(deliveries[:1])
    prune_up_to(book, 2)
    readers.consumer.process(deliveries[1:])
    assert readers.applied(book) == ["Ada"]
    assert "the outbox is pruned up to sequence 2: the record can't be compared" in readers.cursor(book).reason


def prune_up_to(book: UUID, floor: int) -> None:
    Outbox.objects.filter(topic="test.library", key=str(book), sequence__lte=floor).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_stream set floor = %s where key = %s and topic = 'test.library'", [floor, str(book)]
        )


def edit_row(book: UUID, reader: str) -> None:
    """Replace the body of the book's first event as relay_parked edit does."""
    row = Outbox.objects.get(topic="test.library", key=str(book), sequence=1)
    before = BookLent.decode(row.body)
    after = BookLent(event_id=before.event_id, occurred_at=before.occurred_at, book=book, reader=reader).encode()
    Outbox.objects.filter(pk=row.pk).update(body=after.decode())
    Intervention.objects.create(
        action="edit", actor="ada", topic=row.topic, key=row.key, sequence=1, before=row.body, after=after.decode()
    )


def test_a_record_whose_row_a_person_has_edited_is_replaced_by_the_row(readers: Readers) -> None:
    book = uuid4()
    sent = lend(book, "Ada")
    edit_row(book, "Bob")
    edit_row(book, "Cleo")
    readers.consumer.process(sent)
    assert readers.applied(book) == ["Cleo"]
    assert not ForeignRecord.objects.exists()
    other = uuid4()
    forged = forge(lend(other, "Ada")[0], "Mallory")
    edit_row(other, "Bob")
    readers.consumer.process([forged])
    assert readers.applied(other) == []


def test_an_explained_record_is_dropped(readers: Readers) -> None:
    book = uuid4()
    phantom = make_phantom(book)
    readers.consumer.process([phantom])
    with connection.cursor() as cursor:
        cursor.execute("update relay_foreignrecord set explained_at = now()")
    assert readers.catch_up(book)
    readers.consumer.process([phantom, *lend(book, "Ada")])
    assert readers.applied(book) == ["Ada"]
    assert readers.cursor(book).parked_at is None
    assert origin.count_unexplained() == 0


def test_topics_of_another_service_are_not_compared(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "FOREIGN_TOPICS": ["test.library"]}
    applied: list[str] = []
    consumer = Consumer("guests")
    consumer.on(BookLent)(lambda event: applied.append(event.reader))
    event = BookLent(book=uuid4(), reader="Ada")
    consumer.process([Delivery("test.library", 0, 1, event.key, 1, event.type_name(), event.encode())])
    assert applied == ["Ada"]


def test_many_forgeries_neither_hold_up_other_keys_nor_open_the_breaker(readers: Readers) -> None:
    readers.consumer.breaker = Breaker(readers.consumer)
    forged = [BookLent(book=uuid4(), reader="Mallory") for _ in range(60)]
    batch = [Delivery("test.library", 0, n, e.key, 1, e.type_name(), e.encode()) for n, e in enumerate(forged)]
    books = [uuid4() for _ in range(20)]
    readers.consumer.process([*batch, *(delivery for book in books for delivery in lend(book, "Ada"))])
    assert all(readers.applied(book) == ["Ada"] for book in books)
    assert Cursor.objects.exclude(parked_at=None).count() == 60
    assert readers.consumer.figures["foreign"] == 60


def test_the_comparison_needs_no_more_statements(
    readers: Readers, django_assert_num_queries: Callable[..., Any]
) -> None:
    consumer = Consumer("counting")
    consumer.on(BookLent, many=True)(lambda events: None)
    deliveries = [delivery for _ in range(5) for delivery in lend(uuid4(), "Ada")]
    with django_assert_num_queries(3):  # savepoint, cursors, release of the savepoint
        consumer.process(deliveries)
    with django_assert_num_queries(6):  # duplicates: also the insert of missing cursors, the lock, and the count
        consumer.process(deliveries)


@pytest.mark.parametrize("statement", ["_ADVANCE", "_LOCK"])
def test_the_outbox_is_read_by_its_index_on_keys_although_its_statistics_are_old(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("analyze relay_outbox, relay_cursor, relay_stream")  # all of them are empty
        cursor.execute("set local enable_seqscan = off")  # as in a consumer's process
        cursor.execute("set local plan_cache_mode = force_generic_plan")
        values = {"consumer": "a", "topics": "{t}", "keys": "{k}", "expected": "{2}", "digests": "{d}"}
        values |= {"since": "3000000", "lock_timeout": "5s", "statement_timeout": "10s"}
        cursor.execute(f"explain {getattr(cursors, statement)}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    newest = "Index Scan using relay_outbox_p5_key_topic_sequence_idx"
    assert plan.count(newest) == 1, plan
    assert ("Subplans Removed: 3" in plan) is (statement == "_ADVANCE"), plan
    assert "Seq Scan on relay_outbox" not in plan
    assert "hashed SubPlan" not in plan


def test_events_below_the_position_of_the_applied_ones_are_found_too(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a rebuild, while the consumer still remembers a high position."""
    book, forged = uuid4(), uuid4()
    monkeypatch.setattr("relay.consumer.screening.REFRESH_SECONDS", 0)
    with connection.cursor() as cursor:
        cursor.execute("insert into relay_settled (consumer, topic, position) values ('readers', 'test.library', 2^40)")
    readers.consumer._applied = Applied()
    mallory = forge(lend(forged, "Ada")[0], "Mallory")
    readers.consumer.process([*lend(book, "Ada", "Bob"), mallory])
    assert readers.consumer._applied.position == 2**40
    assert readers.applied(book) == ["Ada", "Bob"]
    assert readers.applied(forged) == []


def test_known_events_without_a_handler_are_compared_too(readers: Readers) -> None:
    book = uuid4()
    event = BookReturned(book=book)
    readers.consumer.process([Delivery("test.library", 0, 1, event.key, 1, event.type_name(), event.encode())])
    assert readers.cursor(book).last == 0
