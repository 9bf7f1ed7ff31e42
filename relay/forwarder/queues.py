"""The way to each Kafka partition: what waits for it, its one batch under way, and what its failures have taught.

A lane that does not answer, or has failed, is left alone for a while so that its rows don't fill the memory: they are
not read, and read again when that is over. A batch with a record that Kafka refuses is halved until it stands alone.
"""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from relay.forwarder.messages import make_message, take_batch
from relay.forwarder.producer import Producer, Sending
from relay.forwarder.reader import Row, Stalled

BATCH_ROWS = 1000
# A lane is left alone when its batch has had no answer for so long.
SLOW_SECONDS = 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


@dataclass(slots=True)
class Flight:
    """A batch under way."""

    rows: Sequence[Row]
    sending: Sending
    since: float


@dataclass(slots=True)
class Stall:
    """A lane is left alone `until` then, or until its batch arrives; its rows from `first` on are read again."""

    where: Stalled
    first: int
    until: float


class Landing(NamedTuple):
    """A batch whose outcome is known: every record is in the log, or none may be taken to be."""

    lane: "Lane"
    rows: Sequence[Row]
    error: Exception | None


class Lane:
    """The way to the partition `number` of `topic`."""

    def __init__(self, topic: bytes, number: int) -> None:
        self.topic, self.number = topic, number
        self.waiting: deque[Row] = deque()
        self.flight: Flight | None = None
        self.stall: Stall | None = None
        self._limit = BATCH_ROWS
        self._pause = SHORTEST_PAUSE

    @property
    def is_ready(self) -> bool:
        """Whether the next batch may be sent."""
        return bool(self.waiting) and self.flight is None and self.stall is None

    @property
    def may_go_on(self) -> bool:
        """Whether rows wait for a batch that has its outcome by now."""
        return bool(self.waiting) and self.flight is not None and self.flight.sending.done

    @property
    def is_slow(self) -> bool:
        """Whether its batch has had no answer for long, and the lane is not left alone yet."""
        return self.flight is not None and not self.stall and time.monotonic() - self.flight.since > SLOW_SECONDS

    def send(self, producer: Producer, source: bytes, on_done: Callable[["Lane"], None]) -> None:
        """Queue the next batch. `on_done` is called with this lane when the batch has an outcome."""
        rows = take_batch(self.waiting, self._limit, producer.whole_batches)
        messages = [make_message(row, source) for row in rows]
        sending = producer.send(self.topic.decode(), self.number, messages, partial(on_done, self))
        self.flight = Flight(rows, sending, time.monotonic())

    def land(self) -> Landing | None:
        """Take the batch out, if its outcome is known. After one that got through larger ones are tried again."""
        if self.flight is None or not self.flight.sending.done:
            return None
        flight, self.flight = self.flight, None
        error = flight.sending.error
        if error is None:
            self._pause = SHORTEST_PAUSE
            self._limit = min(BATCH_ROWS, self._limit + self._limit // 8 + 1)
        return Landing(self, flight.rows, error)

    def halve_limit(self, rows: int) -> bool:
        """Make the next batch half as large as one of so many rows; tell whether that was possible."""
        possible = self._limit > 1
        self._limit = max(1, rows // 2)
        return possible

    def lengthen_pause(self) -> float:
        """Return for how many seconds to leave the lane alone after a failure: twice as long after each."""
        pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        return pause


class Lanes:
    """The lane of each partition. A topic is opened as soon as it is known how many partitions it has."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[bytes, int], Lane] = {}
        self._counts: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    @property
    def stalls(self) -> list[Stall]:
        """What is left alone."""
        return [lane.stall for lane in self if lane.stall]

    def is_open(self, topic: bytes) -> bool:
        """Whether the lanes of the topic can be found."""
        return topic in self._counts

    def open(self, topic: bytes, partitions: int) -> None:
        """Take in how many partitions the topic has."""
        self._counts[topic] = partitions

    def find(self, topic: bytes, key_hash: int) -> Lane:
        """Return the lane of a key. The topic must be open."""
        place = topic, key_hash % self._counts[topic]
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(*place)
        return lane

    def leave(self, lane: Lane, seconds: float, rows: Sequence[Row] = (), *, unseen: int = sys.maxsize) -> list[Row]:
        """Leave the lane alone for so many seconds. Returns what waited: it is read again afterwards, as are `rows`.

        So is all from the position `unseen` on: a row that commits meanwhile may lie below all of these.
        """
        waiting, lane.waiting = list(lane.waiting), deque()
        again = [row.position for row in (*waiting, *rows, *(lane.flight.rows if lane.flight else ()))]
        first = min([*again, unseen, lane.stall.first if lane.stall else sys.maxsize])
        where = Stalled(lane.topic, lane.number, self._counts.get(lane.topic, 1))
        lane.stall = Stall(where, first, time.monotonic() + seconds)
        return waiting

    def resume(self, lane: Lane) -> int:
        """Leave the lane alone no longer. Returns the position after which its rows must be read again."""
        assert lane.stall
        stall, lane.stall = lane.stall, None
        if stall.where.partitions == 1:
            self._counts.pop(lane.topic, None)  # perhaps the topic was not there and is now
        return stall.first - 1

    def rewind(self, position: int) -> None:
        """Everything above `position` is read again: of the lanes that are left alone, when they are resumed."""
        for stall in self.stalls:
            stall.first = min(stall.first, position + 1)

    def forget(self) -> None:
        """Forget what waits and what is under way, and how many partitions there are."""
        self._counts.clear()
        for lane in self:
            lane.waiting.clear()
            lane.flight = None
