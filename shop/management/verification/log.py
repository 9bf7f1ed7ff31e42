"""Kafka's log against the outbox, and every consumer's cursor against both."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.conf import settings

from relay.consumer.cursors import Key
from relay.consumer.deliveries import Delivery
from relay.operations import cluster
from shop.management.verification.outbox import Ends, read_last

Committed = dict[str, dict[tuple[str, int], int]]


@dataclass(slots=True)
class Log:
    """What stands in Kafka, by key."""

    ends: Ends
    records: int = 0
    repeats: int = 0
    #: Records that are not from this outbox.
    foreign: int = 0
    #: The sequences run without a gap from the first one to this one, 0 when there is none …
    reached: dict[Key, int] = field(default_factory=dict)
    #: … and these have come before the one that they follow.
    ahead: dict[Key, set[int]] = field(default_factory=dict)
    #: Each of them: (key, last in order, the one that came).
    jumps: list[tuple[Key, int, int]] = field(default_factory=list)
    #: The events that cursors wait for, and where these stand first: (partition, offset).
    waited_for: set[tuple[Key, int]] = field(default_factory=set)
    places: dict[tuple[Key, int], tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reached = dict.fromkeys(self.ends.streams, 0)
        self.waited_for = {(behind.key, behind.reached + 1) for behind in self.ends.behind}

    def read(self, topics: Sequence[str], tell: Callable[[str], None]) -> None:
        """Read all of `topics` from the beginning.

        :raises BrokerUnavailable: no broker answered.
        """
        for delivery in cluster.read_log(topics):
            self.records += 1
            if self.records % 1000 == 0:
                tell(f"reading Kafka's log, {self.records:,} records")
            if delivery.problem:
                self.foreign += 1
            else:
                self.add(delivery)

    def add(self, delivery: Delivery) -> None:
        """Take one record into account."""
        key, sequence = (delivery.topic, delivery.key), delivery.sequence
        reached, ahead = self.reached.get(key, 0), self.ahead.get(key, ())
        if sequence <= reached or sequence in ahead:
            self.repeats += 1
            return
        self.foreign += key not in self.ends.streams
        if (key, sequence) in self.waited_for:
            self.places[key, sequence] = (delivery.partition, delivery.offset)
        # A topic that may forget starts anywhere.
        if not reached and delivery.topic in settings.RELAY.get("RETENTION_MS", {}):
            reached = sequence - 1
        if sequence == reached + 1:
            self.reached[key] = self._follow(key, sequence)
        else:
            self.jumps.append((key, reached, sequence))
            self.ahead.setdefault(key, set()).add(sequence)

    def _follow(self, key: Key, reached: int) -> int:
        """Go on from `reached` over what has come before its time."""
        if ahead := self.ahead.get(key):
            while reached + 1 in ahead:
                reached += 1
                ahead.remove(reached)
        return reached


def find_log_differences(ends: Ends, log: Log) -> Iterator[str]:
    """Name published rows that are not in Kafka, keys whose first occurrences do not run 1, 2, 3 …, and what Kafka
    holds of a key beyond its end: it was sent, and then the database forgot it.
    """
    for (topic, key), reached, came in log.jumps:
        if (topic, key) in ends.streams:
            yield f"in Kafka {topic}/{key} jumps from {reached} to {came}"
    for (topic, key), (_, published) in ends.streams.items():
        forgets = topic in settings.RELAY.get("RETENTION_MS", {})
        reached = log.reached[topic, key]
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
    for behind in ends.behind:
        topic, key = behind.key
        where = f"{behind.consumer} stands at {behind.reached} of {behind.last} in {topic}/{key}"
        if behind.parked is not None:
            yield f"{where}, parked: {behind.parked}"
            continue
        place = log.places.get((behind.key, behind.reached + 1))
        if place and place[1] < committed.get(behind.consumer, {}).get((topic, place[0]), 0):
            yield f"{where}, but has gone past the next event in Kafka"
