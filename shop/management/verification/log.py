"""Comparison of Kafka's log with the outbox, and of the consumers' cursors with both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from relay.arrays import split_into_chunks
from relay.conf import configuration
from relay.consumer.cursors import Key
from relay.consumer.deliveries import Delivery
from relay.consumer.origin import find_foreign_in_log
from relay.models import Intervention, Stream
from relay.operations import cluster
from shop.management.verification.outbox import Ends

# Records that one query compares with the outbox.
CHUNK_RECORDS = 1000
Committed = dict[str, dict[tuple[str, int], int]]


def read_republished_topics() -> set[str]:
    """Return the topics for which `relay_republish` was used."""
    return set(Intervention.objects.filter(action="republish").values_list("topic", flat=True))


def read_floors() -> dict[Key, int]:
    """Return the last pruned sequence number of each key with pruned events."""
    return {
        (topic, key): floor
        for topic, key, floor in Stream.objects.filter(floor__gt=0).values_list("topic", "key", "floor")
    }


@dataclass(slots=True)
class Log:
    """Contents of Kafka's log by key."""

    ends: Ends
    records: int = 0
    repeats: int = 0
    #: Records without a key, a type or a sequence number.
    unreadable: int = 0
    #: Sentences about the records that are not from the outbox and that nobody has explained; the number of others.
    foreign: list[str] = field(default_factory=list)
    explained: int = 0
    #: The last sequence number that the log reaches without a gap, or 0.
    reached: dict[Key, int] = field(default_factory=dict)
    #: The sequence numbers after the first gap.
    ahead: dict[Key, set[int]] = field(default_factory=dict)
    #: First occurrences that are out of order: (key, last number in order, number that came).
    jumps: list[tuple[Key, int, int]] = field(default_factory=list)
    #: By key, the numbers that came too early and did not come again, in order, after their predecessors.
    early: dict[Key, list[int]] = field(default_factory=dict)
    #: The topics of which a person let the relays send events again after a loss in Kafka.
    republished: set[str] = field(default_factory=read_republished_topics)
    #: The last pruned sequence number of each key with pruned events. A republished log can't contain these events.
    floors: dict[Key, int] = field(default_factory=read_floors)
    #: The next event of each cursor that is behind, and the first (partition, offset) of the event.
    waited_for: set[tuple[Key, int]] = field(default_factory=set)
    places: dict[tuple[Key, int], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reached = dict.fromkeys(self.ends.streams, 0)
        self.waited_for = {(behind.key, behind.reached + 1) for behind in self.ends.behind}

    def read(self, topics: Sequence[str], tell: Callable[[str], None]) -> None:
        """Read all records of `topics`. Call `tell` after every 1,000 records.

        :raises BrokerUnavailable: no broker answered.
        """
        for chunk in split_into_chunks(cluster.read_log(topics), CHUNK_RECORDS):
            self.records += len(chunk)
            tell(f"reading Kafka's log, {self.records:,} records")
            readable = [delivery for delivery in chunk if not delivery.problem]
            self.unreadable += len(chunk) - len(readable)
            foreign = self._set_foreign_aside(readable)
            for delivery in readable:
                if (delivery.topic, delivery.partition, delivery.offset) not in foreign:
                    self.add(delivery)

    def _set_foreign_aside(self, deliveries: Sequence[Delivery]) -> set[tuple[str, int, int]]:
        """Record the foreign records of `deliveries` and return their places. Skip rows that are edited or pruned."""
        ours = [delivery for delivery in deliveries if delivery.topic not in configuration().foreign_topics]
        foreign = [found for found in find_foreign_in_log(ours) if not found.edited and not found.is_pruned]
        self.foreign += [f"{f.delivery.topic}/{f.delivery.key}: {f.describe()}" for f in foreign if not f.explained]
        self.explained += sum(found.explained for found in foreign)
        return {(found.delivery.topic, found.delivery.partition, found.delivery.offset) for found in foreign}

    def add(self, delivery: Delivery) -> None:
        """Record one delivery that is from the outbox."""
        key, sequence = (delivery.topic, delivery.key), delivery.sequence
        reached, ahead = self.reached.get(key, 0), self.ahead.get(key, ())
        if sequence <= reached or sequence in ahead:
            self.repeats += 1
            if sequence <= reached and self.early.get(key, [0])[0] == sequence:
                self.early[key].pop(0)
                if not self.early[key]:
                    del self.early[key]
            return
        if (key, sequence) in self.waited_for:
            self.places[key, sequence] = (delivery.partition, delivery.offset)
        # A topic with a retention time may start at any sequence number.
        if not reached and delivery.topic in settings.RELAY.get("RETENTION_MS", {}):
            reached = sequence - 1
        if not reached and delivery.topic in self.republished and sequence == self.floors.get(key, 0) + 1:
            reached = sequence - 1
        if sequence == reached + 1:
            self.reached[key] = self._follow(key, sequence)
        else:
            self.jumps.append((key, reached, sequence))
            self.ahead.setdefault(key, set()).add(sequence)
            self.early.setdefault(key, []).append(sequence)
            self.early[key].sort()

    def _follow(self, key: Key, reached: int) -> int:
        """Return the last number in order after `reached`, and remove the numbers up to it from `ahead`."""
        if ahead := self.ahead.get(key):
            while reached + 1 in ahead:
                reached += 1
                ahead.remove(reached)
        return reached


def find_log_differences(ends: Ends, log: Log) -> Iterator[str]:
    """Report published rows that are not in Kafka, and keys whose first occurrences are not 1, 2, 3 …

    In a republished topic an event may come too early, if it comes again in order: the relay sent it between the loss
    and the repair.
    """
    for (topic, key), reached, came in log.jumps:
        is_repaired = topic in log.republished and came not in log.early.get((topic, key), ())
        if (topic, key) in ends.streams and not is_repaired:
            yield f"in Kafka {topic}/{key} jumps from {reached} to {came}"
    for (topic, key), (_, published) in ends.streams.items():
        forgets = topic in settings.RELAY.get("RETENTION_MS", {})
        reached = log.reached[topic, key]
        if reached < published and not (forgets and not reached):
            yield f"{topic}/{key} is published up to {published}, but Kafka holds it up to {reached}"


def find_foreign_records(log: Log) -> Iterator[str]:
    """Report records that differ from the outbox row with their number, or have no row, and that nobody explained."""
    yield from log.foreign


def find_cursor_differences(ends: Ends, log: Log, committed: Committed) -> Iterator[str]:
    """Report cursors that are parked, or behind although the consumer's committed offset is past the next event.

    Events after the committed offset are in flight and not a difference.
    """
    for behind in ends.behind:
        topic, key = behind.key
        where = f"the cursor of {behind.consumer} is at {behind.reached} of {behind.last} in {topic}/{key}"
        if behind.parked is not None:
            yield f"{where}, parked: {behind.parked}"
            continue
        place = log.places.get((behind.key, behind.reached + 1))
        if place and place[1] < committed.get(behind.consumer, {}).get((topic, place[0]), 0):
            yield f"{where}, but the committed offset is past the next event"
