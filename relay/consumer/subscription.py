"""Consuming. With producer, batches and operations/cluster the only module that imports kafka-python.

What it hands out has none of that library's types in it.

Everything here must be made after a fork: the clients run threads.
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

from relay.consumer.deliveries import Delivery, read_record
from relay.process.connection import broker_errors, read_connection

logger = logging.getLogger(__name__)

# A member that was killed is replaced after this time.
SESSION_SECONDS = 8
COMMIT_EVERY_SECONDS = 1.0


class Source:
    """A member of the consumer group `group`. Offsets are committed by the caller only, after the effects."""

    def __init__(self, group: str, topics: Sequence[str], *, instance: str = "") -> None:
        """Join the group. With the name of an `instance` it does so as a static member, which may be away for a while.

        :raises BrokerUnavailable: no broker answered.
        """
        self._done: dict[TopicPartition, OffsetAndMetadata] = {}  # and not committed yet
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
                fetch_max_wait_ms=2_000,  # a broker answers sooner if it has anything
                metadata_max_age_ms=10_000,
                bootstrap_timeout_ms=5000,
                reconnect_backoff_max_ms=1000,
            )

    def poll(self, *, seconds: float, records: int = 500) -> list[Delivery]:
        """Wait up to `seconds` for records, at most so many; each partition's come in the order of the log."""
        self._commit_if_due()
        # kafka-python 3.0.12 forgets a rejoin that metadata made necessary and that outlasts a poll: its leader adopts
        # the metadata while assigning, so that nobody waits for the join's end, and the member never gets a partition.
        coordinator = self._consumer._coordinator
        if coordinator.rejoining:
            coordinator.rejoin_needed = True
        with broker_errors():
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=records)
        return [read_record(record) for records in polled.values() for record in records]

    def hold(self, held: bool) -> None:
        """Fetch nothing while `held`, but stay in the group. What was on its way may still come with the next poll."""
        if held:
            self._consumer.pause(*self._consumer.assignment())  # each time: partitions may be new since the last one
        elif self._consumer.paused():
            self._consumer.resume(*self._consumer.paused())

    def commit(self, deliveries: Sequence[Delivery]) -> None:
        """Record that everything up to these deliveries, in the order of `poll`, is done; wait for no answer.

        What fails, for example because the group has moved on, is no loss: the next commit covers it, or the same
        records come again, here or elsewhere, and their cursors show that they are done.
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
        """Take what is done and not committed. What another member has got since then is that member's to commit."""
        mine = self._consumer.assignment()
        offsets = {partition: done for partition, done in self._done.items() if partition in mine}
        self._done = {}
        return offsets

    def _note_commit(self, offsets: dict[TopicPartition, OffsetAndMetadata], answer: object) -> None:
        if isinstance(answer, Exception):
            logger.info("offsets not committed", extra={"error": f"{type(answer).__name__}: {answer}"})
            self._done = {**offsets, **self._done}

    def close(self) -> None:
        """Leave the group, so that another member takes over at once; an instance's place is kept. Never raises."""
        with suppress(Exception):
            if self._done:
                self._consumer.commit(self._take_done(), timeout_ms=2000)
        with suppress(Exception):
            self._consumer.close(autocommit=False, timeout_ms=3000)
