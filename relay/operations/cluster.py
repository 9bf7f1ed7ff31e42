"""The Kafka cluster for operators: topics, committed offsets of groups, and the whole log.

Relays and consumers do not use this module.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import TopicAlreadyExistsError

from relay.conf import configuration
from relay.consumer.deliveries import Delivery, read_record
from relay.operations.grants import Grant
from relay.process.broker import BrokerUnavailable
from relay.process.connection import broker_errors, read_connection

_SILENCE_SECONDS = 10.0
_WEEK_MS = 7 * 24 * 3600 * 1000


def create_topics(topics: Sequence[str]) -> list[str]:
    """Create the missing topics among `topics` and return their names.

    :raises BrokerUnavailable: no broker answered.
    """
    wishes = configuration()
    with _admin() as admin:
        missing = [topic for topic in topics if topic not in admin.list_topics()]
        for topic in missing:
            retention = wishes.retention_of(topic)
            wanted = {
                "num_partitions": wishes.partitions,
                "replication_factor": wishes.replication,
                "configs": {
                    "retention.ms": str(retention),
                    # Kafka never deletes the active segment, so a longer segment would extend a short retention.
                    "segment.ms": str(retention if 0 < retention < _WEEK_MS else _WEEK_MS),
                    "min.insync.replicas": "2" if wishes.replication >= 3 else "1",
                },
            }
            with suppress(TopicAlreadyExistsError):
                admin.create_topics({topic: wanted}, wait_for_metadata=True)
    return missing


@dataclass(frozen=True, slots=True)
class TopicShape:
    """The shape of a topic. `replication` is the smallest of all partitions; a retention of -1 keeps everything."""

    partitions: int
    replication: int
    retention_ms: int


def read_shapes(topics: Sequence[str]) -> dict[str, TopicShape]:
    """Return the shapes of the existing topics among `topics`, by name.

    :raises BrokerUnavailable: no broker answered.
    """
    with _admin() as admin:
        present = sorted(set(admin.list_topics()) & set(topics))
        if not present:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": None}) for topic in present]
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
        return {
            found["name"]: TopicShape(
                len(found["partitions"]),
                min(len(partition["replica_nodes"]) for partition in found["partitions"]),
                int(configs[found["name"]]["retention.ms"]["value"]),
            )
            for found in admin.describe_topics(present)
        }


def read_committed(groups: Sequence[str]) -> dict[str, dict[tuple[str, int], int]]:
    """Return, for each group, the committed offset by (topic, partition). All records below it are processed.

    :raises BrokerUnavailable: no broker answered.
    """
    with _admin() as admin:
        offsets = admin.list_group_offsets(list(groups))
    return {
        group: {(partition.topic, partition.partition): committed.offset for partition, committed in found.items()}
        for group, found in offsets.items()
    }


def check_access() -> None:
    """Log in to the cluster.

    :raises BrokerUnavailable: no broker answered, or it refused the log-in. The message has the reason.
    """
    with _admin() as admin:
        admin.list_topics()


def allow(grants: Sequence[Grant]) -> None:
    """Let Kafka's authorizer allow `grants`, in addition to what it allows already.

    :raises BrokerUnavailable: no broker answered, the cluster has no authorizer, or this client may not change it.
    """
    rules = [
        ACL(
            f"User:{grant.user}",
            "*",
            ACLOperation[grant.operation],
            ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType[grant.kind], grant.name),
        )
        for grant in grants
    ]
    with _admin() as admin:
        if failed := admin.create_acls(rules)["failed"]:
            raise BrokerUnavailable(f"{failed[0].__name__}: {failed[0].description}")


def read_log(topics: Sequence[str]) -> Iterator[Delivery]:
    """Yield all current records of `topics` from the beginning, without a consumer group.

    :raises BrokerUnavailable: no broker answered.
    """
    with broker_errors():
        consumer = KafkaConsumer(
            **read_connection(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=5000,
        )
    try:
        with broker_errors():
            partitions = [TopicPartition(t, p) for t in topics for p in sorted(consumer.partitions_for_topic(t) or ())]
            ends = consumer.end_offsets(partitions) if partitions else {}
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            idle_since = time.monotonic()
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                polled = consumer.poll(timeout_ms=500, max_records=5000)
                if polled:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > _SILENCE_SECONDS:
                    raise BrokerUnavailable("the broker stopped answering while its log was read")
                for partition, records in polled.items():
                    yield from (read_record(record) for record in records if record.offset < ends[partition])
    finally:
        with suppress(Exception):
            consumer.close(autocommit=False, timeout_ms=1000)


@contextmanager
def _admin() -> Iterator[Any]:
    with broker_errors():
        admin = KafkaAdminClient(**read_connection(), bootstrap_timeout_ms=3000, request_timeout_ms=10_000)
        try:
            yield admin
        finally:
            with suppress(Exception):
                admin.close()
