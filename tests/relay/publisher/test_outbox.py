"""publish() and publish_many(): in the caller's transaction, without gaps, in order."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from relay import EventTooLarge, PublishedOutsideTransaction, UnknownTopic, WrongIsolationLevel, publish, publish_many
from relay.models import Outbox, Stream
from relay.publisher import outbox
from relay.publisher.outbox import READ_COMMITTED
from shop.events import OrderShipped
from tests.relay.events import BookLent, BookReturned, NoticePosted

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_becomes_a_row_of_the_outbox() -> None:
    event = BookLent(book=uuid4(), reader='Ada "A" \0 \u2028 Ω')
    with transaction.atomic():
        assert publish(event) == 1
    row = Outbox.objects.get()
    assert (row.topic, row.key, row.sequence) == ("test.library", str(event.book), 1)
    assert (row.event_id, row.type, row.occurred_at) == (event.event_id, "BookLent.v1", event.occurred_at)
    assert row.published_at is None
    assert BookLent.decode(row.body) == event


def test_each_key_of_each_topic_has_its_own_sequence() -> None:
    a, b = uuid4(), uuid4()
    with transaction.atomic():
        events = [BookLent(book=a), BookLent(book=b), BookReturned(book=a), NoticePosted(board=str(a))]
        assert [publish(event) for event in events] == [1, 1, 2, 1]
    with transaction.atomic():
        assert publish(BookLent(book=a)) == 3
    assert set(Stream.objects.values_list("key", "last")) == {(str(a), 3), (str(b), 1), (str(a), 1)}


def test_publishing_outside_a_transaction_is_refused() -> None:
    with pytest.raises(PublishedOutsideTransaction, match=r"BookLent\.v1"):
        publish(BookLent(book=uuid4()))
    assert Outbox.objects.count() == Stream.objects.count() == 0


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_another_isolation_level_is_refused_and_writes_nothing(level: str) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"set transaction isolation level {level}")
        with pytest.raises(WrongIsolationLevel, match=r"BookLent\.v1"):
            publish(BookLent(book=uuid4()))
    assert Outbox.objects.count() == Stream.objects.count() == 0


def test_an_event_of_another_module_is_refused() -> None:
    with pytest.raises(UnknownTopic, match=r"shop\.events\.OrderShipped"), transaction.atomic():
        publish(OrderShipped(order_id=uuid4(), number="N1", contact_id=uuid4()))


def test_an_event_that_is_too_large_is_refused_by_publish() -> None:
    with transaction.atomic():
        publish(NoticePosted(board="b", text="x" * (512 * 1024 - 200)))
    with pytest.raises(EventTooLarge, match="524288"), transaction.atomic():
        publish(NoticePosted(board="b", text="x" * 512 * 1024))
    with pytest.raises(EventTooLarge, match=r"the key of NoticePosted\.v1 has 501 characters"), transaction.atomic():
        publish(NoticePosted(board="b" * 501))
    assert Outbox.objects.count() == 1


def test_an_event_that_is_rolled_back_leaves_no_gap() -> None:
    book = uuid4()
    with transaction.atomic():
        publish(BookLent(book=book))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish(BookReturned(book=book))
        raise ZeroDivisionError
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():  # a savepoint
            publish(BookReturned(book=book))
            raise ZeroDivisionError
        publish(BookReturned(book=book))
    assert list(Outbox.objects.order_by("position").values_list("sequence", flat=True)) == [1, 2]


def test_a_key_is_locked_until_the_commit_and_other_keys_are_not() -> None:
    busy, free = uuid4(), uuid4()
    published, may_commit = threading.Event(), threading.Event()

    def publish_slowly() -> None:
        try:
            with transaction.atomic():
                publish(BookLent(book=busy))
                published.set()
                may_commit.wait(60)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(publish_slowly)
        assert published.wait(60)
        with transaction.atomic():
            assert publish(BookLent(book=free)) == 1
        threading.Timer(0.3, may_commit.set).start()
        began = time.monotonic()
        with transaction.atomic():
            assert publish(BookReturned(book=busy)) == 2
        assert time.monotonic() - began > 0.2
        slow.result()


@pytest.mark.parametrize("known", ["1", "another"])
def test_many_events_in_one_statement_keep_the_order_of_the_list_within_each_key(known: str) -> None:
    with transaction.atomic():
        publish(NoticePosted(board=known, text="before"))
    events = [NoticePosted(board=str(number % 7), text=f"text {number} Ω") for number in range(500)]
    with transaction.atomic():
        publish_many(events)
        publish_many([])
        assert publish(NoticePosted(board="0")) == 73
    rows = list(Outbox.objects.order_by("position"))
    assert [row.event_id for row in rows[1:-1]] == [event.event_id for event in events]
    for board in map(str, range(7)):
        sequences = [row.sequence for row in rows if row.key == board]
        assert sequences == list(range(1, len(sequences) + 1))
        assert Stream.objects.get(topic="test.notices", key=board).last == len(sequences)


def publish_with_cause() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            *outbox.publish_with_cause(f"cause as (select 1 where {READ_COMMITTED})", NoticePosted(board="1", text=""))
        )


NOTICES = [NoticePosted(board=str(number), text="") for number in range(100)]
WAYS: dict[str, Callable[[], object]] = {
    "one": lambda: publish(NOTICES[0]),
    "with its cause": publish_with_cause,
    "many": lambda: publish_many(NOTICES),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_transaction_has_its_id_before_it_takes_a_position(way: str) -> None:
    """The reader queries the running transactions, and would skip the position of a transaction without an id."""

    def publish_it() -> None:
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("select pg_backend_pid()")
                    backend.append(cursor.fetchone()[0])
                WAYS[way]()
        finally:
            connection.close()

    backend: list[int] = []
    with ThreadPoolExecutor(1) as pool, connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute("alter sequence relay_outbox_position_seq increment 1")  # no position for other transactions
            publishing = pool.submit(publish_it)
            seen_waiting = 0
            # PostgreSQL reads the id before the wait event, so the row of the first sighting may have an older id.
            while not publishing.done() and seen_waiting < 2:
                cursor.execute("select pg_stat_clear_snapshot()")
                cursor.execute("select backend_xid, wait_event from pg_stat_activity where pid = any(%s)", [backend])
                number, waits_for = cursor.fetchone() or (None, None)
                seen_waiting += waits_for == "relation"
            assert not publishing.done()
            assert number is not None
        publishing.result(timeout=60)
    assert Outbox.objects.exists()


def test_many_events_are_refused_like_one() -> None:
    with pytest.raises(PublishedOutsideTransaction):
        publish_many([BookLent(book=uuid4())])
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read")
        with pytest.raises(WrongIsolationLevel, match="2 events"):
            publish_many([BookLent(book=uuid4()), BookLent(book=uuid4())])
    assert Outbox.objects.count() == Stream.objects.count() == 0


@pytest.mark.parametrize("new_keys", [False, True])
def test_many_writers_with_delays_and_rollbacks_leave_no_gap_and_no_inversion(
    new_keys: bool,
) -> None:
    """Within a key the orders of positions, commits and sequence numbers are the same."""
    threads, turns = 8, 60
    books = [uuid4() for _ in range(2 * turns if new_keys else 4)]
    committed: dict[UUID, int] = defaultdict(int)
    seen = threading.Lock()

    def write(number: int) -> None:
        dice = random.Random(number)
        try:
            for turn in range(turns):
                among = books[2 * turn : 2 * turn + 4] if new_keys else books
                chosen = sorted(dice.sample(among, dice.randint(1, 2)), key=str)
                with transaction.atomic():
                    if dice.random() < 0.5:  # unsorted, because publish_many sorts the keys
                        publish_many([BookLent(book=book) for book in reversed(chosen)])
                        time.sleep(dice.random() * 0.004)
                    else:
                        for book in chosen:
                            publish(BookLent(book=book))
                            time.sleep(dice.random() * 0.004)
                    rolled_back = dice.random() < 0.2
                    transaction.set_rollback(rolled_back)
                if not rolled_back:
                    with seen:
                        for book in chosen:
                            committed[book] += 1
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(write, number) for number in range(threads)]:
            future.result()

    assert sum(committed.values()) > 0
    for book in committed:
        rows = Outbox.objects.filter(key=str(book)).order_by("position")
        assert [row.sequence for row in rows] == list(range(1, committed[book] + 1))
        assert [row.created_at for row in rows] == sorted(row.created_at for row in rows)
        assert Stream.objects.get(topic="test.library", key=str(book)).last == committed[book]
