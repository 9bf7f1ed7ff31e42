"""Kafka's log against the outbox, and every consumer's cursor against both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from relay import kafka
from relay.cursors import Key
from relay.health.lag import all_consumers
from shop.management.verification.outbox import Ends, read_last

Committed = dict[str, dict[tuple[str, int], int]]


@dataclass(slots=True)
class Log:
    """What stands in Kafka, by key."""

    records: int = 0
    repeats: int = 0
    unreadable: int = 0
    #: The sequences run without a gap from the first one to this one …
    reached: dict[Key, int] = field(default_factory=dict)
    #: … and the first record of each sequence stands here: (partition, offset).
    places: dict[tuple[Key, int], tuple[int, int]] = field(default_factory=dict)
    #: Records that came before the one that they follow: (key, last in order, the one that came).
    jumps: list[tuple[Key, int, int]] = field(default_factory=list)

    @classmethod
    def read(cls, topics: Sequence[str]) -> "Log":
        """Read all of `topics` from the beginning.

        :raises BrokerUnavailable: no broker answered.
        """
        log = cls()
        for delivery in kafka.read_log(topics):
            log.records += 1
            if delivery.problem:
                log.unreadable += 1
            else:
                log.add(delivery)
        return log

    def add(self, delivery: kafka.Delivery) -> None:
        """Take one record into account."""
        key = (delivery.topic, delivery.key)
        if (key, delivery.sequence) in self.places:
            self.repeats += 1
            return
        self.places[key, delivery.sequence] = (delivery.partition, delivery.offset)
        # A topic that may forget starts anywhere.
        forgets = delivery.topic in settings.RELAY.get("RETENTION_MS", {})
        reached = self.reached.get(key, delivery.sequence - 1 if forgets else 0)
        if delivery.sequence == reached + 1:
            reached += 1
            while (key, reached + 1) in self.places:
                reached += 1
        else:
            self.jumps.append((key, reached, delivery.sequence))
        self.reached[key] = reached

    def count_foreign(self, ends: Ends) -> int:
        """Count records that are not from this outbox."""
        return self.unreadable + sum(1 for key, _ in self.places if key not in ends.streams)


def find_log_differences(ends: Ends, log: Log) -> Iterator[str]:
    """Name published rows that are not in Kafka, keys whose first occurrences do not run 1, 2, 3 …, and what Kafka
    holds of a key beyond its end: it was sent, and then the database forgot it.
    """
    for (topic, key), reached, came in log.jumps:
        if (topic, key) in ends.streams:
            yield f"in Kafka {topic}/{key} jumps from {reached} to {came}"
    for (topic, key), published in ends.published.items():
        forgets = topic in settings.RELAY.get("RETENTION_MS", {})
        reached = log.reached.get((topic, key), 0)
        if reached < published and not (forgets and not reached):
            yield f"{topic}/{key} is published up to {published}, but Kafka holds it up to {reached}"
    # The log was read later than the ends: what looks beyond them may have been published since.
    beyond = {key: n for key, n in log.reached.items() if key in ends.streams and n > ends.streams[key][0]}
    for (topic, key), last in read_last(list(beyond)).items():
        if beyond[topic, key] > last:
            yield f"{topic}/{key} ends at {last}, but Kafka holds it up to {beyond[topic, key]}"


def find_cursor_differences(ends: Ends, log: Log, committed: Committed) -> Iterator[str]:
    """Name the cursors that stand still although their consumer has gone past the next event, and why if parked.

    What Kafka holds beyond the group's committed offset is in flight, not a difference.
    """
    for consumer in all_consumers():
        offsets = committed.get(consumer.name, {})
        for key, (last, floor) in ends.streams.items():
            if key[0] not in consumer.topics:
                continue
            reached = ends.cursors.get((consumer.name, key), floor)
            if reached >= last:
                continue
            where = f"{consumer.name} stands at {reached} of {last} in {key[0]}/{key[1]}"
            if (consumer.name, key) in ends.parked:
                yield f"{where}, parked: {ends.parked[consumer.name, key]}"
                continue
            place = log.places.get((key, reached + 1))
            if place and place[1] < offsets.get((key[0], place[0]), 0):
                yield f"{where}, but has gone past the next event in Kafka"
