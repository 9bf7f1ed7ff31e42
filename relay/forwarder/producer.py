"""The producer sends batches and reports their outcomes. It hides kafka-python: no type of it leaves this module."""

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
    """A batch in flight. The library's thread calls `on_done`, possibly more than once."""

    def __init__(self, futures: Sequence[Any], on_done: Callable[[], None]) -> None:
        self._futures = futures
        for future in futures:
            future.add_both(lambda *_: on_done())

    @property
    def done(self) -> bool:
        """Whether the outcome of the batch is known."""
        return all(future.is_done for future in self._futures)

    @property
    def error(self) -> Exception | None:
        """The error of the batch, or None if every record is in Kafka's log."""
        for future in self._futures:
            error = future.exception
            if error is None and isinstance(future, FutureProduceResult):
                get_error = future.value[2]
                error = get_error(0) if get_error else None
            if error is not None:
                return explain(error)
        return None


class Producer:
    """An idempotent producer with acks=all. After a failure close it and create another: its state is unknown."""

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
        #: Reason why whole batches can't be used, or "".
        self.obstacle = batches.find_obstacle(self._producer)
        # send() queues single records, and a later record of a key may succeed after an earlier one failed.
        # Without whole batches a batch therefore holds one record per key.
        self.whole_batches = not self.obstacle
        if self.obstacle:
            logger.warning("records are sent one by one, which is slower", extra={"reason": self.obstacle})

    def count_partitions(self, topic: str) -> int:
        """Return the number of partitions of `topic`.

        :raises BrokerUnavailable: the topic does not exist, or no broker answered.
        """
        with broker_errors():
            return len(self._producer.partitions_for(topic))

    def send(self, topic: str, partition: int, messages: Sequence[Message], on_done: Callable[[], None]) -> Sending:
        """Queue one batch and return it. Call `send_queued` afterwards.

        Unless `whole_batches`, a batch may contain only one message of each key. Call `count_partitions` for the topic
        first, so that the library knows the leaders. No other batch may be in flight to the partition, because the
        library may send a batch after an earlier one has failed.

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
        """Send the queued batches, with one request per broker."""
        if self.whole_batches:
            batches.send_queued(self._producer)

    def close(self) -> None:
        """Close and give up all batches in flight. Never raises, although closing a broken producer may fail."""
        # close() alone would wait for batches in flight, or leave the library's thread running.
        with suppress(Exception):
            self._producer._sender.force_close()
        with suppress(Exception):
            self._producer.close(timeout=1)
