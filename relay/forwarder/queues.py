"""One queue for each Kafka partition: its waiting rows, its batch in flight, its batch limit and its pause.

A queue whose partition is slow or has failed is paused (a stall), so that its rows don't fill the buffer. The rows are
not read during the pause, and read again afterwards. A batch with a refused record is halved until the record is alone.
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
# A queue whose batch is not acknowledged within this time is paused.
SLOW_SECONDS = 1.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


@dataclass(slots=True)
class InFlight:
    """A batch in flight, `since` a time.monotonic()."""

    rows: Sequence[Row]
    sending: Sending
    since: float


@dataclass(slots=True)
class Stall:
    """A pause of a queue `until` a time.monotonic(), or until its batch is acknowledged.

    Afterwards its rows are read again from the position `first`.
    """

    where: Stalled
    first: int
    until: float


class Completion(NamedTuple):
    """A batch whose outcome is known. Without `error` every record is in the log; otherwise assume that none is."""

    queue: "PartitionQueue"
    rows: Sequence[Row]
    error: Exception | None


class PartitionQueue:
    """The queue of the partition `number` of `topic`."""

    def __init__(self, topic: bytes, number: int) -> None:
        self.topic, self.number = topic, number
        self.waiting: deque[Row] = deque()
        self.in_flight: InFlight | None = None
        self.stall: Stall | None = None
        self._limit = BATCH_ROWS
        self._pause = SHORTEST_PAUSE

    @property
    def is_ready(self) -> bool:
        """Whether the next batch may be sent."""
        return bool(self.waiting) and self.in_flight is None and self.stall is None

    @property
    def can_continue(self) -> bool:
        """Whether rows are waiting and the batch before them has completed."""
        return bool(self.waiting) and self.in_flight is not None and self.in_flight.sending.done

    @property
    def is_slow(self) -> bool:
        """Whether the batch is in flight for longer than SLOW_SECONDS and the queue is not paused yet."""
        return self.in_flight is not None and not self.stall and time.monotonic() - self.in_flight.since > SLOW_SECONDS

    @property
    def is_promising(self) -> bool:
        """Whether the batch in flight is expected to complete soon: its partition is not slow and has not failed."""
        recent = self.in_flight is not None and time.monotonic() - self.in_flight.since <= SLOW_SECONDS
        return recent and not self.stall and self._pause == SHORTEST_PAUSE

    def send(self, producer: Producer, source: bytes, on_done: Callable[["PartitionQueue"], None]) -> None:
        """Give the next batch to `producer`, which calls `on_done` with this queue when the batch has completed."""
        rows = take_batch(self.waiting, self._limit, producer.whole_batches)
        messages = [make_message(row, source) for row in rows]
        sending = producer.send(self.topic.decode(), self.number, messages, partial(on_done, self))
        self.in_flight = InFlight(rows, sending, time.monotonic())

    def take_completed(self) -> Completion | None:
        """Return the batch in flight if its outcome is known, else None. Success raises the batch limit again."""
        if self.in_flight is None or not self.in_flight.sending.done:
            return None
        in_flight, self.in_flight = self.in_flight, None
        error = in_flight.sending.error
        if error is None:
            self._pause = SHORTEST_PAUSE
            self._limit = min(BATCH_ROWS, self._limit + self._limit // 8 + 1)
        return Completion(self, in_flight.rows, error)

    def halve_limit(self, rows: int) -> bool:
        """Limit the next batch to half of `rows`; return whether the limit was above 1."""
        possible = self._limit > 1
        self._limit = max(1, rows // 2)
        return possible

    def lengthen_pause(self) -> float:
        """Return the seconds to pause the queue after a failure, and double the next pause."""
        pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        return pause


class PartitionQueues:
    """The queues of all partitions. A topic must be opened with its number of partitions."""

    def __init__(self) -> None:
        self._queues: dict[tuple[bytes, int], PartitionQueue] = {}
        self._counts: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[PartitionQueue]:
        return iter(self._queues.values())

    @property
    def stalls(self) -> list[Stall]:
        """The pauses of all paused queues."""
        return [queue.stall for queue in self if queue.stall]

    def is_open(self, topic: bytes) -> bool:
        """Whether `topic` is open."""
        return topic in self._counts

    def open(self, topic: bytes, partitions: int) -> None:
        """Open `topic` with its number of partitions."""
        self._counts[topic] = partitions

    def find(self, topic: bytes, key_hash: int) -> PartitionQueue:
        """Return the queue of a key. `topic` must be open."""
        place = topic, key_hash % self._counts[topic]
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = PartitionQueue(*place)
        return queue

    def pause(
        self, queue: PartitionQueue, seconds: float, rows: Sequence[Row] = (), *, unseen: int = sys.maxsize
    ) -> list[Row]:
        """Pause `queue` for `seconds`. Empty it and return the rows that were waiting.

        After the pause these rows, the failed `rows` and all rows from the position `unseen` are read again. A row that
        commits during the pause may have a lower position than the rows of the queue.
        """
        waiting, queue.waiting = list(queue.waiting), deque()
        again = [row.position for row in (*waiting, *rows, *(queue.in_flight.rows if queue.in_flight else ()))]
        first = min([*again, unseen, queue.stall.first if queue.stall else sys.maxsize])
        where = Stalled(queue.topic, queue.number, self._counts.get(queue.topic, 1))
        queue.stall = Stall(where, first, time.monotonic() + seconds)
        return waiting

    def resume(self, queue: PartitionQueue) -> int:
        """End the pause of `queue`. Return the position after which its rows must be read again."""
        assert queue.stall
        stall, queue.stall = queue.stall, None
        if stall.where.partitions == 1:
            self._counts.pop(queue.topic, None)  # count again: the topic may have been missing and exist now
        return stall.first - 1

    def rewind(self, position: int) -> None:
        """Let paused queues read all rows above `position` again after their pause."""
        for stall in self.stalls:
            stall.first = min(stall.first, position + 1)

    def forget(self) -> None:
        """Forget all waiting rows, all batches in flight and the numbers of partitions. Pauses and limits remain."""
        self._counts.clear()
        for queue in self:
            queue.waiting.clear()
            queue.in_flight = None
