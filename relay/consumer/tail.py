"""The end of the log: new records of some topics, read without a consumer group and without cursors.

A tail is for displays only. It misses records while it is not connected, and it may read a record twice.
"""

from collections.abc import Sequence
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition

from relay.consumer.deliveries import Delivery, read_record
from relay.process.broker import BrokerUnavailable
from relay.process.connection import broker_errors, read_connection


class Tail:
    """A reader of all partitions of `topics`, which begins at their ends."""

    def __init__(self, topics: Sequence[str], *, client_id: str, pace_ms: int = 50) -> None:
        """Connect, and find the ends.

        :param pace_ms: how long a broker collects records before it answers, while few records arrive.
        :raises BrokerUnavailable: no broker answered, or a topic is missing.
        """
        with broker_errors():
            self._consumer = KafkaConsumer(
                **read_connection(),
                client_id=client_id,
                enable_auto_commit=False,
                auto_offset_reset="latest",
                allow_auto_create_topics=False,
                fetch_min_bytes=64 * 1024,
                fetch_max_wait_ms=pace_ms,
                request_timeout_ms=15_000,
                bootstrap_timeout_ms=5000,
                reconnect_backoff_max_ms=1000,
            )
            try:
                self._find_ends(topics)
            except BaseException:
                self.close()
                raise

    def _find_ends(self, topics: Sequence[str]) -> None:
        partitions = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnavailable(f"the topic {topic} does not exist: run manage.py create_topics")
            partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
        self._consumer.assign(partitions)
        ends = self._consumer.end_offsets(partitions)
        for partition, end in ends.items():
            self._consumer.seek(partition, end)

    def poll(self, *, seconds: float, records: int = 2000) -> list[Delivery]:
        """Wait up to `seconds` for at most `records` records, and return them.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        with broker_errors():
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=records)
        return [read_record(record) for chunk in polled.values() for record in chunk]

    def close(self) -> None:
        """Close the connections. Never raises."""
        with suppress(Exception):
            self._consumer.close(autocommit=False, timeout_ms=1000)
