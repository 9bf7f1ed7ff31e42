"""Canaries: their way from the outbox through Kafka to each consumer, and their age."""

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from relay import Consumer, publish_many
from relay.consumer.canary import note_canaries, read_canary_ages
from relay.consumer.deliveries import Delivery
from relay.consumer.receiver import Receiver
from relay.forwarder.forwarder import Forwarder
from relay.models import Cursor, Outbox
from relay.operations import cluster
from relay.publisher.canary import Canary, CanarySent
from relay.publisher.topics import known_events, known_topics
from relay.testing.delivery import make_delivery
from tests.relay.events import BookLent

pytestmark = pytest.mark.django_db


def in_background(run: Callable[[threading.Event], None]) -> tuple[threading.Event, threading.Thread]:
    stopping = threading.Event()

    def work() -> None:
        run(stopping)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return stopping, thread


def arrive(*sequences: int) -> list[Delivery]:
    """Return the canaries of the outbox with these sequence numbers as deliveries."""
    rows = Outbox.objects.filter(topic=CanarySent.topic, sequence__in=sequences).order_by("sequence")
    return [make_delivery(row) for row in rows]


def test_every_project_knows_the_canary() -> None:
    assert known_events()["CanarySent.v1"] is CanarySent
    assert "relay.canary" in known_topics()


@pytest.mark.django_db(transaction=True)
def test_a_canary_goes_from_the_outbox_through_kafka_to_a_consumer(
    parts: object, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RELAY = {**settings.RELAY, "CANARY_SECONDS": 0.2}
    # Another topic, because consumers of the running shop use the same broker and would receive these canaries.
    topic = f"test.canary-{uuid4()}"
    monkeypatch.setattr(CanarySent, "topic", topic)
    for module in ("relay.publisher.canary", "relay.consumer.canary"):
        monkeypatch.setattr(f"{module}.KEY", (topic, "canary"))
    cluster.create_topics(known_topics())
    consumer = Consumer(f"readers-{uuid4()}")
    consumer.on(BookLent)(lambda event: None)
    relay = in_background(Forwarder(name=f"relay-{uuid4()}").run)
    receiver = in_background(Receiver(consumer).run)
    try:
        deadline = time.monotonic() + 60
        while Cursor.objects.filter(topic=topic, last__gte=3).count() < 1:
            assert time.monotonic() < deadline, "no canary has arrived"
            time.sleep(0.05)
        assert 0 <= read_canary_ages([consumer.name])[consumer.name] < 60
        assert consumer.topics == ["test.library"], "lag and verification are about business events only"
    finally:
        for stopping, thread in (relay, receiver):
            stopping.set()
            thread.join()


def test_two_relays_send_one_canary_at_a_time(settings: Settings) -> None:
    first, second = Canary(), Canary()
    for _ in range(3):
        first.tick()
        second.tick()
    assert Outbox.objects.filter(topic=CanarySent.topic).count() == 1
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set created_at = created_at - interval '11 s'")
    first.tick()
    assert Outbox.objects.filter(topic=CanarySent.topic).count() == 1, "looked before it was due"
    Canary().tick()
    assert Outbox.objects.filter(topic=CanarySent.topic).count() == 2


def test_no_canary_is_sent_if_they_are_switched_off(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "CANARY_SECONDS": 0}
    Canary().tick()
    assert not Outbox.objects.exists()


def test_a_new_consumer_skips_missing_canaries_and_its_cursor_never_decreases() -> None:
    with transaction.atomic():
        publish_many([CanarySent() for _ in range(9)])
    note_canaries("readers", arrive(7, 8))
    note_canaries("readers", arrive(5))
    assert Cursor.objects.get(consumer="readers", topic=CanarySent.topic).last == 8


def test_a_canary_that_is_not_from_the_outbox_does_not_move_the_cursor() -> None:
    """Otherwise no later canary would count, after a restore or a forgery."""
    Canary().tick()
    (real,) = arrive(1)
    note_canaries("readers", [real._replace(sequence=2**62), real, real._replace(problem="it has no key")])
    assert Cursor.objects.get(consumer="readers", topic=CanarySent.topic).last == 1


def test_the_age_is_the_age_of_the_newest_applied_canary() -> None:
    for sequence in (1, 2):
        Canary().tick()
        with connection.cursor() as cursor:
            cursor.execute(
                "update relay_outbox set created_at = created_at - interval '40 s' where topic = 'relay.canary'"
            )
        if sequence == 1:
            note_canaries("slow", arrive(1))
        note_canaries("fast", arrive(sequence))
    ages = read_canary_ages(["fast", "slow", "new"])
    assert set(ages) == {"fast", "slow"}
    assert 40 <= ages["fast"] < 50 and 80 <= ages["slow"] < 90
    Outbox.objects.filter(sequence=1).delete()
    assert read_canary_ages(["slow"])["slow"] == float("inf")
