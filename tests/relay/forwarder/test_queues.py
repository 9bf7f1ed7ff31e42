"""Partition queues without a broker: pauses, batch limits and rows that are read again."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from relay import BrokerUnavailable
from relay.forwarder.batches import Message
from relay.forwarder.producer import Producer
from relay.forwarder.queues import (
    BATCH_ROWS,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Completion,
    PartitionQueue,
    PartitionQueues,
)
from relay.forwarder.reader import Row
from relay.process.broker import RecordRefused


class AnsweredSending:
    """The immediate outcome of a batch."""

    done = True

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class Broker:
    """A stand-in for the producer; `error` is the error of the next batches."""

    whole_batches = True
    error: Exception | None = None

    def send(
        self, topic: str, partition: int, messages: Sequence[Message], on_done: Callable[[], None]
    ) -> AnsweredSending:
        return AnsweredSending(self.error)


def make_rows(*positions: int) -> list[Row]:
    texts = dict.fromkeys(("topic", "key", "sequence", "event_id", "type", "occurred_at", "traceparent", "body"), b"x")
    return [Row(position=position, key_hash=0, created_at=0.0, **texts) for position in positions]


def fly(queue: PartitionQueue, error: Exception | None = None, *, rows: int = 2 * BATCH_ROWS) -> Completion:
    """Send one batch of `rows` waiting rows, and return its completion."""
    broker = Broker()
    broker.error = error
    queue.waiting.clear()
    queue.waiting.extend(make_rows(*range(rows)))
    queue.send(cast(Producer, broker), b"/library", lambda _: None)
    completion = queue.take_completed()
    assert completion
    return completion


def open_queue(queues: PartitionQueues) -> PartitionQueue:
    queues.open(b"test.library", 1)
    return queues.find(b"test.library", 7)


def test_a_paused_queue_reads_again_from_its_lowest_row() -> None:
    queues = PartitionQueues()
    queue = open_queue(queues)
    failed, waiting = make_rows(8, 3), make_rows(9, 5)
    queue.waiting.extend(waiting)
    assert queues.pause(queue, 1.0, failed) == waiting
    assert not queue.is_ready and not queue.waiting
    queues.pause(queue, 1.0, make_rows(4))
    assert [stall.first for stall in queues.stalls] == [3]
    assert queues.resume(queue) == 2
    assert queues.stalls == []


def test_a_refused_batch_is_halved_down_to_one_row_and_grows_again_after_successes() -> None:
    queue, refusal = PartitionQueue(b"test.library", 0), RecordRefused("too large")
    sizes = []
    while queue.halve_limit(len(rows := fly(queue, refusal).rows)):
        sizes.append(len(rows))
    assert sizes == [1000, 500, 250, 125, 62, 31, 15, 7, 3]
    assert len(rows) == 1
    for _ in range(100):
        fly(queue)
    assert len(fly(queue).rows) == BATCH_ROWS


def test_pauses_double_after_each_failure_until_a_batch_succeeds() -> None:
    queue = PartitionQueue(b"test.library", 0)
    pauses = [queue.lengthen_pause() for _ in range(7) if fly(queue, BrokerUnavailable("away")).error]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE]
    fly(queue)
    assert queue.lengthen_pause() == SHORTEST_PAUSE


def test_only_one_batch_is_in_flight_at_a_time() -> None:
    queue = PartitionQueue(b"test.library", 0)
    queue.waiting.extend(make_rows(1, 2))
    assert queue.is_ready
    silent: Any = Broker()
    silent.send = lambda *_: type("Silence", (), {"done": False})()
    queue.send(silent, b"/library", lambda _: None)
    queue.waiting.extend(make_rows(3))
    assert not queue.is_ready and queue.take_completed() is None
