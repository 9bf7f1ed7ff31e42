"""Kafka's log for the ledger: which event ids it holds, read once by an own reader without a consumer group.

The reader remembers each record until the ledger has found its row. A record that comes again is a repeat: the relay
may send an event twice, and consumers drop the second one.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from relay.consumer.tail import Spot, Tail
from relay.partitions import read_position

#: Records in memory that wait for their rows. The reader pauses above this number.
MOST_RECORDS = 100_000
POLL_SECONDS = 0.2
#: Records of a partition that are read, for at most this time, to find out which events Kafka has deleted.
MOST_READ, LONGEST_SECONDS = 20_000, 20.0
#: The log of a partition is shorter than before only if it is so in this number of rounds in a row: a new leader of
#: the partition may report an old end for a moment.
SHORTER_ROUNDS = 4


class Record(NamedTuple):
    """A record with an event id. Its row has a position up to `position`."""

    topic: str
    partition: int
    offset: int
    key: str
    sequence: int
    position: int

    @property
    def spot(self) -> Spot:
        """The topic and the partition."""
        return self.topic, self.partition


class Deleted(NamedTuple):
    """Kafka no longer has a number of `records` of a partition that must keep them: its oldest, or its newest ones."""

    spot: Spot
    records: int
    is_newest: bool


class Remainder(NamedTuple):
    """The event ids in a partition's log, and the last record that was read unless all were read."""

    event_ids: set[str]
    last: Record | None


class LogReader:
    """The records of `topics` that the ledger has not compared yet, by event id."""

    def __init__(
        self, topics: Sequence[str], offsets: Mapping[str, Sequence[int]], *, keeping: Collection[str]
    ) -> None:
        """Connect, and continue at `offsets`, an earlier result of :meth:`export`.

        :param keeping: the topics whose records Kafka keeps for ever.
        :raises BrokerUnavailable: no broker answered, or a topic is missing.
        """
        known = {_split(name): list(numbers) for name, numbers in offsets.items()}
        self.seen: dict[str, Record] = {}
        #: Repeats since the last call of :meth:`take_repeats`, without those that an earlier reader has counted.
        self._repeats = 0
        self._counted = {spot: numbers[1] for spot, numbers in known.items()}
        self._firsts = {spot: numbers[2] for spot, numbers in known.items()}
        self._shorter: dict[Spot, int] = {}
        self._keeping = keeping
        self._ended: dict[Spot, int] = {}
        self._tail = Tail(topics, client_id="live", starts={spot: numbers[0] for spot, numbers in known.items()})
        self._positions = self._tail.read_positions()

    def close(self) -> None:
        """Close the connections. Never raises."""
        self._tail.close()

    @property
    def ends(self) -> dict[Spot, int]:
        """The ends of all partitions at the beginning of the last :meth:`read`."""
        return self._ended

    def count_partitions(self, topic: str) -> int:
        """Return the number of the topic's partitions."""
        return sum(name == topic for name, _ in self._positions)

    def read(self, *, seconds: float) -> tuple[bool, list[Deleted]]:
        """Read for about `seconds`. Return whether all records of the beginning were read, and what Kafka has deleted.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        bounds = self._tail.read_bounds()
        deleted = self._find_deleted(bounds)
        self._ended = {spot: end for spot, (_, end) in bounds.items()}
        deadline = time.monotonic() + seconds
        while not self._is_at(self._ended) and len(self.seen) < MOST_RECORDS and time.monotonic() < deadline:
            deliveries = self._tail.poll(seconds=POLL_SECONDS)
            position = read_position() if deliveries else 0
            for one in deliveries:
                record = Record(one.topic, one.partition, one.offset, one.key, one.sequence, position)
                if one.event_id and self.seen.setdefault(one.event_id, record) is not record:
                    self._count_repeat(record)
            self._positions = self._tail.read_positions()
        return self._is_at(self._ended), deleted

    def _is_at(self, ends: Mapping[Spot, int]) -> bool:
        return all(self._positions.get(spot, 0) >= end for spot, end in ends.items())

    def _find_deleted(self, bounds: Mapping[Spot, tuple[int, int]]) -> list[Deleted]:
        """Return the losses since the last call. After a loss at the end, read the partition from its beginning."""
        deleted = []
        for spot, (first, end) in bounds.items():
            known, reached = self._firsts.get(spot, first), self._positions.get(spot, 0)
            self._shorter[spot] = self._shorter.get(spot, 0) + 1 if end < reached else 0
            if self._shorter[spot] >= SHORTER_ROUNDS:
                deleted.append(Deleted(spot, reached - end, True))
                self._tail.seek(spot, first)
                self._counted[spot], self._positions[spot] = end, first
            elif first > known and spot[0] in self._keeping:
                deleted.append(Deleted(spot, first - known, False))
            self._firsts[spot] = first
        return deleted

    def read_remainder(self, spot: Spot) -> Remainder:
        """Read the oldest records of a partition.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        starts = {other: end for other, (_, end) in self._tail.read_bounds().items()} | {spot: self._firsts[spot]}
        tail = Tail([spot[0]], client_id="live", starts=starts)
        found, last = set[str](), None
        deadline = time.monotonic() + LONGEST_SECONDS
        try:
            while tail.read_positions()[spot] < self._ended.get(spot, 0):
                for one in tail.poll(seconds=POLL_SECONDS):
                    if (one.topic, one.partition) == spot:
                        found.add(one.event_id)
                        last = Record(one.topic, one.partition, one.offset, one.key, one.sequence, 0)
                if len(found) >= MOST_READ or time.monotonic() > deadline:
                    return Remainder(found, last)
        finally:
            tail.close()
        return Remainder(found, None)

    def _count_repeat(self, record: Record) -> None:
        if record.offset >= self._counted.get(record.spot, 0):
            self._repeats += 1

    def take_repeats(self) -> int:
        """Return the number of repeats since the last call."""
        repeats, self._repeats = self._repeats, 0
        return repeats

    def forget(self, event_ids: Iterable[str]) -> None:
        """Forget the records of rows that were found."""
        for event_id in event_ids:
            self.seen.pop(event_id, None)

    def take_leftovers(self, position: int) -> dict[str, Record]:
        """Forget and return the records whose rows are all at or below `position`, where nothing waits for them."""
        left = {event_id: record for event_id, record in self.seen.items() if record.position <= position}
        self.forget(left)
        return left

    def keep(self, event_id: str, record: Record) -> None:
        """Remember a leftover again, because its row waits for it."""
        self.seen[event_id] = record

    def count_leftovers(self, records: Iterable[Record]) -> None:
        """Count leftover `records` as repeats of events that were found earlier."""
        for record in records:
            self._count_repeat(record)

    def export(self) -> dict[str, Any]:
        """Return by topic/partition: where another reader must continue, the counted end, and the first offset."""
        starts = dict(self._positions)
        for record in self.seen.values():
            starts[record.spot] = min(starts[record.spot], record.offset)
        # A reader that continued at an earlier offset has counted up to the higher of both ends.
        counted = {spot: max(offset, self._counted.get(spot, 0)) for spot, offset in self._positions.items()}
        return {
            f"{topic}/{number}": [starts[topic, number], counted[topic, number], self._firsts.get((topic, number), 0)]
            for topic, number in starts
        }


def _split(name: str) -> Spot:
    topic, _, number = name.rpartition("/")
    return topic, int(number)
