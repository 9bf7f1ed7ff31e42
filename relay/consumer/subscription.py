"""The subscription of a consumer to its topics. It hides kafka-python: no type of that library leaves this module.

Create a Subscription only after a fork, because its client runs threads.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    KafkaError,
)
from kafka.structs import OffsetAndMetadata

from relay.consumer.deliveries import Delivery, Place, read_record
from relay.process.connection import broker_errors, read_connection

logger = logging.getLogger(__name__)

# Kafka gives the partitions of a killed member to others after this time.
SESSION_SECONDS = 8
COMMIT_EVERY_SECONDS = 1.0
# A partition with fewer records that are not polled yet has no backlog.
FEW_RECORDS = 100


class Subscription:
    """A member of the consumer group `group`. Only `commit` commits offsets; call it after the effects."""

    def __init__(self, group: str, topics: Sequence[str], *, instance: str = "") -> None:
        """Join the group. With an `instance` name join as a static member, which keeps its partitions over a restart.

        :raises BrokerUnavailable: no broker answered.
        """
        self._done: dict[TopicPartition, OffsetAndMetadata] = {}  # processed and not committed yet
        self._committed_at = 0.0
        with broker_errors():
            self._consumer = KafkaConsumer(
                *topics,
                **read_connection(),
                client_id=group,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                partition_assignment_strategy=(CooperativeStickyAssignor,),
                group_instance_id=f"{group}-{instance}" if instance else None,
                session_timeout_ms=SESSION_SECONDS * 1000,
                heartbeat_interval_ms=2_000,
                request_timeout_ms=15_000,
                fetch_max_wait_ms=2_000,  # a broker with new records answers at once
                metadata_max_age_ms=10_000,
                bootstrap_timeout_ms=5000,
                reconnect_backoff_max_ms=1000,
            )

    def poll(self, *, seconds: float, records: int = 500) -> list[Delivery]:
        """Wait up to `seconds` for at most `records` records. Records of one partition keep the order of the log."""
        self._commit_if_due()
        # kafka-python 3.0.12 can forget a rejoin that new metadata has started and that outlasts one poll. The member
        # would then never get a partition, so the flag is set again.
        coordinator = self._consumer._coordinator
        if coordinator.rejoining:
            coordinator.rejoin_needed = True
        with broker_errors():
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=records)
        return [read_record(record) for records in polled.values() for record in records]

    def set_paused(self, paused: bool) -> None:
        """Stop fetching, or resume if not `paused`; stay in the group. The next poll may still return records."""
        if paused:
            self._consumer.pause(*self._consumer.assignment())  # on each call, because the assignment may have changed
        elif self._consumer.paused():
            self._consumer.resume(*self._consumer.paused())

    def find_polled(self) -> list[Place]:
        """Return the assigned partitions without a backlog: they were polled to their end, or nearly."""
        places = []
        for partition in self._consumer.assignment():
            # The public methods position() and partitions_for_topic() may wait for the broker.
            position = self._consumer._subscription.position(partition)
            end = self._consumer.highwater(partition)
            known = self._consumer._cluster.partitions_for_topic(partition.topic)
            if position and known and end is not None and end - position.offset < FEW_RECORDS:
                places.append(Place(partition.topic, partition.partition, len(known)))
        return places

    def commit(self, deliveries: Sequence[Delivery]) -> None:
        """Record `deliveries` as processed and commit their offsets about once a second, without waiting for Kafka.

        A failed commit loses nothing: the next commit covers it, or the records arrive again and the cursors reveal
        them as duplicates.
        """
        ends = {(delivery.topic, delivery.partition): delivery.offset + 1 for delivery in deliveries}
        for where, end in ends.items():
            partition = TopicPartition(*where)
            known = self._done.get(partition)
            if known is None or end > known.offset:
                self._done[partition] = OffsetAndMetadata(end, "", -1)
        self._commit_if_due()

    def _commit_if_due(self) -> None:
        if self._done and time.monotonic() - self._committed_at >= COMMIT_EVERY_SECONDS:
            self._committed_at = time.monotonic()
            offsets = self._take_done()
            with suppress(KafkaError):
                self._consumer.commit_async(offsets, callback=self._note_commit)

    def _take_done(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """Take and return the uncommitted offsets of the partitions that are still assigned to this member."""
        mine = self._consumer.assignment()
        offsets = {partition: done for partition, done in self._done.items() if partition in mine}
        self._done = {}
        return offsets

    def _note_commit(self, offsets: dict[TopicPartition, OffsetAndMetadata], answer: object) -> None:
        if isinstance(answer, Exception):
            logger.info("offsets not committed", extra={"error": f"{type(answer).__name__}: {answer}"})
            self._done = {**offsets, **self._done}

    def close(self) -> None:
        """Commit and leave the group, so that another member takes over at once. A static member keeps its partitions.

        Never raises.
        """
        with suppress(Exception):
            if self._done:
                self._consumer.commit(self._take_done(), timeout_ms=2000)
        with suppress(Exception):
            self._consumer.close(autocommit=False, timeout_ms=3000)
