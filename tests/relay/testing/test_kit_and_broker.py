"""One test suite for the promises to consumers, which the test kit and the real relay, Kafka and receiver must pass.

The effect of a handler is another event, which reveals effects of a rolled-back batch and feeds a second consumer.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Protocol
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from relay import Consumer, Event, publish
from relay.consumer.canary import exclude_canaries
from relay.consumer.deliveries import Delivery
from relay.consumer.receiver import Batch, Receiver
from relay.forwarder.forwarder import Forwarder
from relay.models import Cursor, Outbox, ShardLease
from relay.operations import cluster
from relay.publisher.topics import known_events, known_topics
from relay.testing import deliver, parked_keys, published, redrive
from relay.testing.delivery import make_delivery


class ParcelEvent(Event, frozen=True, kw_only=True):
    """A step in the life of a parcel."""

    parcel: UUID
    step: int

    @property
    def key(self) -> str:
        return str(self.parcel)


class ParcelPosted(ParcelEvent, frozen=True, kw_only=True):
    """The event that the first consumer handles."""

    topic: ClassVar[str] = "kit.posted"


class ParcelSorted(ParcelEvent, frozen=True, kw_only=True):
    """The effect of the first consumer, which the second one handles."""

    topic: ClassVar[str] = "kit.sorted"


class ParcelCarried(ParcelEvent, frozen=True, kw_only=True):
    """The effect of the second consumer."""

    topic: ClassVar[str] = "kit.carried"


class Office:
    """Two consumers in a row. The first one fails at the parcels in `torn`."""

    def __init__(self) -> None:
        self.sorters, self.carriers = Consumer("kit-sorters"), Consumer("kit-carriers")
        self.torn: set[UUID] = set()
        self.sorters.on(ParcelPosted)(self.sort)
        self.carriers.on(ParcelSorted)(self.carry)

    def sort(self, event: ParcelPosted) -> None:
        publish(ParcelSorted(parcel=event.parcel, step=event.step))
        if event.parcel in self.torn:
            raise ValueError(f"step {event.step} is torn")

    def carry(self, event: ParcelSorted) -> None:
        publish(ParcelCarried(parcel=event.parcel, step=event.step))


class Drive(Protocol):
    """The interface to deliver events. Both implementations return when only events of parked keys are left."""

    def deliver(self, *, twice: bool = False, losing: bool = False) -> None:
        """Deliver new events, each record twice if `twice`, or with losses if `losing`."""

    def redrive(self) -> None:
        """Retry the parked keys and deliver the resulting events."""


class KitDrive:
    """relay.testing, in a transaction that is rolled back."""

    def __init__(self, office: Office) -> None:
        self._consumers = (office.sorters, office.carriers)

    def deliver(self, *, twice: bool = False, losing: bool = False) -> None:
        deliver(*self._consumers, duplicate=twice, lose=losing * 0.5, delay=0.3, shuffle=True, parked="allow")

    def redrive(self) -> None:
        redrive(*self._consumers, parked="allow")
        self.deliver()


class Counting(Receiver):
    """A receiver that reports the deliveries it has applied."""

    def __init__(self, consumer: Consumer, note: Callable[[Sequence[Delivery]], None]) -> None:
        super().__init__(consumer)
        self._note = note

    def _process(self, batch: Batch, stopping: threading.Event) -> bool:
        processed = super()._process(batch, stopping)
        if processed:
            self._note(exclude_canaries(batch.deliveries))
        return processed


class BrokerDrive:
    """A relay, and a receiver for each consumer, on their own threads with their own connections."""

    def __init__(self, office: Office) -> None:
        self._stopping = threading.Event()
        self._consumers = (office.sorters, office.carriers)
        self._came: Counter[tuple[str, str, int]] = Counter()
        self.received: list[Delivery] = []
        self._threads = [threading.Thread(target=self._run, args=[Counting(c, self._note)]) for c in self._consumers]
        for thread in self._threads:
            thread.start()

    def deliver(self, *, twice: bool = False, losing: bool = False) -> None:
        if losing:  # never the last record: the sweep would find it only after minutes
            rows = Outbox.objects.filter(published_at=None).order_by("topic", "key", "-sequence")
            last = rows.distinct("topic", "key").values("pk")
            Outbox.objects.filter(published_at=None, sequence__gt=1).exclude(pk__in=last).update(published_at=Now())
        self._forward_and_wait(times=1)
        if twice:
            Outbox.objects.update(published_at=None)
            ShardLease.objects.update(low_mark=0)  # otherwise the relay skips the rows below it
            self._forward_and_wait(times=2)

    def redrive(self) -> None:
        parked = Cursor.objects.exclude(parked_at=None)
        tries = {cursor.pk: cursor.attempts for cursor in parked}
        parked.update(next_try_at=Now())
        wait_until(lambda: all(cursor.attempts > tries[cursor.pk] for cursor in parked.all()))
        self.deliver()

    def close(self) -> None:
        """End all threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _forward_and_wait(self, *, times: int) -> None:
        stopping = threading.Event()
        relay = threading.Thread(target=self._run, args=[Forwarder(), stopping])
        relay.start()
        try:
            wait_until(lambda: self._is_quiet(times))
        finally:
            stopping.set()
            relay.join(30)

    def _note(self, deliveries: Sequence[Delivery]) -> None:
        self.received += deliveries
        self._came.update((delivery.topic, delivery.key, delivery.sequence) for delivery in deliveries)

    def _is_quiet(self, times: int) -> bool:
        if Outbox.objects.filter(published_at=None).exists():
            return False
        topics = [topic for consumer in self._consumers for topic in consumer.topics]
        last = Outbox.objects.filter(topic__in=topics).order_by("topic", "key", "-sequence").distinct("topic", "key")
        return all(self._came[row.topic, row.key, row.sequence] >= times for row in last)

    def _run(self, process: Forwarder | Receiver, stopping: threading.Event | None = None) -> None:
        try:
            process.run(stopping or self._stopping)
        finally:
            connection.close()


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait up to a minute until `is_true()`."""
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline, "nothing happens any more"
        time.sleep(0.02)


@pytest.fixture
def office(settings: Settings) -> Office:
    settings.RELAY = {**settings.RELAY, "EVENTS": [__name__]}
    known_events.cache_clear()
    return Office()


@pytest.fixture(
    params=[
        pytest.param("kit", marks=pytest.mark.django_db),
        pytest.param("broker", marks=pytest.mark.django_db(transaction=True)),
    ]
)
def drive(request: pytest.FixtureRequest, office: Office) -> Iterator[Drive]:
    if request.param == "kit":
        yield KitDrive(office)
        return
    cluster.create_topics(known_topics())
    driven = BrokerDrive(office)
    yield driven
    driven.close()


def post(parcel: UUID, *steps: int) -> None:
    with transaction.atomic():
        for step in steps:
            publish(ParcelPosted(parcel=parcel, step=step))


def carried(parcel: UUID) -> list[int]:
    """Return the steps that both consumers have handled, in the order of their application."""
    return [event.step for event in published(ParcelCarried, key=parcel)]


def test_each_key_is_applied_in_order_including_events_that_handlers_publish(office: Office, drive: Drive) -> None:
    parcels = [uuid4() for _ in range(12)]
    for step in range(4):
        for parcel in parcels:
            post(parcel, step)
    drive.deliver()
    assert [carried(parcel) for parcel in parcels] == [[0, 1, 2, 3]] * 12


def test_a_duplicate_is_applied_once(office: Office, drive: Drive) -> None:
    parcels = [uuid4() for _ in range(4)]
    for parcel in parcels:
        post(parcel, 1, 2, 3)
    drive.deliver(twice=True)
    assert [carried(parcel) for parcel in parcels] == [[1, 2, 3]] * 4


def test_a_lost_record_is_read_from_the_outbox(office: Office, drive: Drive) -> None:
    parcels = [uuid4() for _ in range(4)]
    for parcel in parcels:
        post(parcel, 1, 2, 3, 4, 5)
    drive.deliver(losing=True)
    assert [carried(parcel) for parcel in parcels] == [[1, 2, 3, 4, 5]] * 4


def test_a_failing_event_parks_only_its_key_until_it_is_redriven(office: Office, drive: Drive) -> None:
    torn, whole = uuid4(), uuid4()
    office.torn = {torn}
    for parcel in (torn, whole):
        post(parcel, 1, 2)
    drive.deliver()
    assert parked_keys(office.sorters) == {str(torn): "ValueError: step 1 is torn"}
    assert (carried(torn), carried(whole)) == ([], [1, 2])
    post(torn, 3)
    drive.deliver()
    drive.redrive()
    assert (carried(torn), parked_keys(office.sorters)) == ([], {str(torn): "ValueError: step 1 is torn"})
    office.torn.clear()
    drive.redrive()
    assert (carried(torn), parked_keys(office.sorters)) == ([1, 2, 3], {})


def test_an_event_of_an_unknown_type_waits(office: Office, drive: Drive) -> None:
    parcel = uuid4()
    post(parcel, 1, 2, 3)
    second = Outbox.objects.filter(key=str(parcel), sequence=2)
    second.update(type="ParcelPosted.v99")
    drive.deliver()
    assert carried(parcel) == [1]
    assert parked_keys(office.sorters)[str(parcel)].startswith("UnknownEventType: unknown type 'ParcelPosted.v99'")
    second.update(type="ParcelPosted.v1")  # as if the consumer had been updated
    drive.redrive()
    assert carried(parcel) == [1, 2, 3]


def test_an_unreadable_record_parks_its_key(office: Office, drive: Drive) -> None:
    broken, whole = uuid4(), uuid4()
    for parcel in (broken, whole):
        post(parcel, 1)
    Outbox.objects.filter(key=str(broken)).update(body="{}")
    drive.deliver()
    assert parked_keys(office.sorters)[str(broken)].startswith("UnableToDecodeEvent: not a ParcelPosted.v1")
    assert carried(whole) == [1]


@pytest.mark.parametrize(
    "drive", [pytest.param("broker", marks=pytest.mark.django_db(transaction=True))], indirect=True
)
def test_the_deliveries_of_the_kit_equal_those_of_the_broker(office: Office, drive: BrokerDrive) -> None:
    for parcel in [uuid4() for _ in range(6)]:
        post(parcel, 1, 2)
    drive.deliver()
    rows = Outbox.objects.filter(topic__in=["kit.posted", "kit.sorted"])
    made = {(row.topic, row.key, row.sequence): make_delivery(row) for row in rows}
    assert len(drive.received) == len(made) == 24
    for received in drive.received:
        assert made[received.topic, received.key, received.sequence]._replace(offset=received.offset) == received
