"""Sends batches and tells what became of each. What it hands out has none of kafka-python's types in it."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.future import Future
from kafka.producer.future import FutureProduceResult

from relay.forwarder import batches
from relay.forwarder.batches import Message
from relay.process.broker import BrokerUnavailable
from relay.process.connection import broker_errors, explain, read_connection

logger = logging.getLogger(__name__)

DELIVERY_TIMEOUT_SECONDS = 5.0


class Sending:
    """A batch under way. `on_done` is called on the library's own thread, perhaps more than once."""

    def __init__(self, futures: Sequence[Any], on_done: Callable[[], None]) -> None:
        self._futures = futures
        for future in futures:
            future.add_both(lambda *_: on_done())

    @property
    def done(self) -> bool:
        """Whether its outcome is known."""
        return all(future.is_done for future in self._futures)

    @property
    def error(self) -> Exception | None:
        """What went wrong; nothing means that every record is in the log."""
        for future in self._futures:
            error = future.exception
            if error is None and isinstance(future, FutureProduceResult):
                tell_error = future.value[2]
                error = tell_error(0) if tell_error else None
            if error is not None:
                return explain(error)
        return None


class Producer:
    """An idempotent producer with acks=all. After a failure close it and make another: its state is unknown."""

    def __init__(self) -> None:
        """Connect.

        :raises BrokerUnavailable: no broker answered.
        """
        with broker_errors():
            self._producer = KafkaProducer(
                **read_connection(),
                client_id="relay",
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                batch_size=1024 * 1024,
                max_request_size=4 * 1024 * 1024,
                linger_ms=0,
                allow_auto_create_topics=False,
                max_block_ms=1000,
                request_timeout_ms=int(DELIVERY_TIMEOUT_SECONDS * 800),
                delivery_timeout_ms=int(DELIVERY_TIMEOUT_SECONDS * 1000),
                bootstrap_timeout_ms=2000,
                reconnect_backoff_max_ms=1000,
                metrics_enabled=False,
            )
        #: Reason why whole batches can't be used; empty if they are used.
        self.obstacle = batches.find_obstacle(self._producer)
        # send() queues records one by one: what fails may be followed by later records of its key, unless a batch
        # holds one record of a key only.
        self.whole_batches = not self.obstacle
        if self.obstacle:
            logger.warning("records are sent one by one, which is slower", extra={"reason": self.obstacle})

    def count_partitions(self, topic: str) -> int:
        """Return how many partitions the topic has.

        :raises BrokerUnavailable: there is no such topic, or no broker answered.
        """
        with broker_errors():
            return len(self._producer.partitions_for(topic))

    def send(self, topic: str, partition: int, messages: Sequence[Message], on_done: Callable[[], None]) -> Sending:
        """Queue one batch; unless `whole_batches`, with at most one message of a key. Call `send_queued` afterwards.

        The topic's partitions must have been counted: the library then knows their leaders.
        Nothing else may be under way to this partition: the library may send what follows a failed batch.

        :raises BrokerUnavailable: the producer is closed.
        """
        if self.whole_batches:
            try:
                return Sending([batches.queue_batch(self._producer, topic, partition, messages)], on_done)
            except RuntimeError as error:
                raise BrokerUnavailable(str(error)) from error
        futures = []
        try:
            for message in messages:
                futures.append(self._producer.send(topic, message.value, message.key, message.headers, partition))
        except KafkaError as error:
            futures.append(Future().failure(error))
        return Sending(futures, on_done)

    def send_queued(self) -> None:
        """Send what was queued: the batches of one broker go in one request."""
        if self.whole_batches:
            batches.send_queued(self._producer)

    def close(self) -> None:
        """Give up what is under way. Never raises: closing a broken producer may fail too."""
        # close() alone would wait for what is under way, or leave the library's thread running.
        with suppress(Exception):
            self._producer._sender.force_close()
        with suppress(Exception):
            self._producer.close(timeout=1)
