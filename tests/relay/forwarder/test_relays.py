"""Several relays: shards change hands, a relay freezes, the database is restored; the order is always kept."""

import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection, transaction

from relay import publish_many
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.lease import LeaseLost
from relay.models import Outbox, ShardLease
from relay.operations import cluster
from tests.relay.events import BookLent, BookReturned
from tests.relay.forwarding import (
    end_leases,
    find_first_occurrences,
    forward_all,
    forward_until,
    publish_committed,
    read_key,
    running,
    wait_until_published,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]


def test_a_frozen_relay_marks_nothing_and_keeps_the_order(
    forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, other = uuid4(), Forwarder()
    publish_committed(*[BookLent(book=book) for _ in range(3)])

    def freeze(label: str) -> None:
        if label == "relay.sent":
            end_leases(forwarder.leases.owner)
            monkeypatch.setattr("relay.process.failpoint.hook", None)
            publish_committed(BookReturned(book=book))
            forward_all(other)

    monkeypatch.setattr("relay.process.failpoint.hook", freeze)
    with pytest.raises(LeaseLost):
        forward_all(forwarder)
    published = list(Outbox.objects.order_by("sequence").values_list("published_at", flat=True))
    forwarder._forget()
    forward_all(forwarder)
    assert forwarder.leases.working == []
    assert find_first_occurrences(read_key(book)) == [1, 2, 3, 4]
    assert list(Outbox.objects.order_by("sequence").values_list("published_at", flat=True)) == published
    other.stop()


def test_after_a_restore_the_relay_reads_from_the_position_in_the_database(forwarder: Forwarder) -> None:
    """After a failover the database may assign positions again that the relay has read before, for new events."""
    publish_committed(BookLent(book=uuid4()))
    forwarder.forward_round()
    position, watermark = Outbox.objects.get().position, forwarder._find_low_watermark()
    publish_committed(*[BookLent(book=uuid4()) for _ in range(3)])
    forward_until(forwarder, lambda: forwarder._find_low_watermark() > position + 2)
    forwarder._renew()
    Outbox.objects.filter(position__gt=position).delete()
    ShardLease.objects.update(low_mark=watermark)
    with connection.cursor() as cursor:
        cursor.execute("select setval('relay_outbox_position_seq', %s)", [position])
    book = uuid4()
    publish_committed(BookLent(book=book))
    forwarder._forget()  # as after any error, for example the end of its connection
    forward_all(forwarder)
    assert [delivery.sequence for delivery in read_key(book)] == [1]


def test_three_relays_that_start_and_stop_lose_nothing_and_keep_the_order(forwarder: Forwarder) -> None:
    books, turns = [uuid4() for _ in range(40)], 120
    counts: dict[object, int] = defaultdict(int)
    lock = threading.Lock()

    def write(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for _ in range(turns):
                chosen = dice.sample(books, 3)
                with transaction.atomic():
                    publish_many([BookLent(book=book) for book in chosen])
                    time.sleep(dice.random() * 0.01)
                    rolled_back = dice.random() < 0.1
                    transaction.set_rollback(rolled_back)
                with lock:
                    for book in chosen:
                        counts[book] += not rolled_back
        finally:
            connection.close()

    with running(forwarder, Forwarder(), Forwarder()) as stopping, ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, seed) for seed in range(6)]
        time.sleep(0.8)
        stopping[0].set()  # hands over at once, in the middle of its work
        for writer in writers:
            writer.result()
        wait_until_published()
    sequences = defaultdict(list)
    for delivery in cluster.read_log(["test.library"]):
        sequences[delivery.key].append(delivery)
    for book in books:
        assert find_first_occurrences(sequences[str(book)]) == list(range(1, counts[book] + 1))
