"""The log of some topics, read without a consumer group and without cursors: its end, or from given offsets on.

A tail applies nothing. Without given offsets it misses records while it is not connected.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition

from relay.consumer.deliveries import Delivery, read_record
from relay.process.broker import BrokerUnavailable
from relay.process.connection import broker_errors, read_connection

#: A topic and the number of one of its partitions.
Spot = tuple[str, int]


class Tail:
    """A reader of all partitions of `topics`, which begins at their ends or at given offsets."""

    def __init__(
        self, topics: Sequence[str], *, client_id: str, pace_ms: int = 50, starts: Mapping[Spot, int] | None = None
    ) -> None:
        """Connect, and find the first offsets to read.

        :param pace_ms: how long a broker collects records before it answers, while few records arrive.
        :param starts: offsets by partition; without any, all partitions are read from their ends, otherwise the missing
            ones from their beginnings. If Kafka has deleted an offset, the reader continues with the oldest record.
        :raises BrokerUnavailable: no broker answered, or a topic is missing.
        """
        with broker_errors():
            self._consumer = KafkaConsumer(
                **read_connection(),
                client_id=client_id,
                enable_auto_commit=False,
                auto_offset_reset="earliest" if starts else "latest",
                allow_auto_create_topics=False,
                fetch_min_bytes=64 * 1024,
                fetch_max_wait_ms=pace_ms,
                request_timeout_ms=15_000,
                bootstrap_timeout_ms=5000,
                reconnect_backoff_max_ms=1000,
            )
            try:
                self._find_starts(topics, starts or {})
            except BaseException:
                self.close()
                raise

    def _find_starts(self, topics: Sequence[str], starts: Mapping[Spot, int]) -> None:
        partitions = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnavailable(f"the topic {topic} does not exist: run manage.py create_topics")
            partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
        self._partitions = partitions
        self._consumer.assign(partitions)
        for partition, end in self._consumer.end_offsets(partitions).items():
            self._consumer.seek(partition, starts.get((partition.topic, partition.partition), 0 if starts else end))

    def poll(self, *, seconds: float, records: int = 2000) -> list[Delivery]:
        """Wait up to `seconds` for at most `records` records, and return them.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        with broker_errors():
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=records)
        return [read_record(record) for chunk in polled.values() for record in chunk]

    def read_bounds(self) -> dict[Spot, tuple[int, int]]:
        """Return the first offset and the end of each partition in Kafka.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        with broker_errors():
            firsts = self._consumer.beginning_offsets(self._partitions)
            ends = self._consumer.end_offsets(self._partitions)
        return {(one.topic, one.partition): (firsts[one], ends[one]) for one in self._partitions}

    def read_positions(self) -> dict[Spot, int]:
        """Return the offset of the next record of each partition.

        :raises BrokerUnavailable: Kafka could not be reached.
        """
        with broker_errors():
            return {(one.topic, one.partition): self._consumer.position(one) for one in self._partitions}

    def seek(self, spot: Spot, offset: int) -> None:
        """Continue in the partition `spot` at `offset`."""
        self._consumer.seek(TopicPartition(*spot), offset)

    def close(self) -> None:
        """Close the connections. Never raises."""
        with suppress(Exception):
            self._consumer.close(autocommit=False, timeout_ms=1000)
