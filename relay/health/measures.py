"""The samples of the metrics page: each function queries one subject and yields its samples."""

import re
from collections.abc import Iterator
from typing import Any

from relay.consumer.canary import read_canary_ages
from relay.consumer.consumer import Consumer
from relay.consumer.lag import read_lag
from relay.consumer.origin import count_unexplained
from relay.consumer.registry import all_consumers
from relay.database import connection
from relay.health.backlog import read_unpublished
from relay.health.vacuum import read_holders
from relay.heartbeat import read_processes
from relay.models import ConsumerState
from relay.partitions import list_partitions, read_position

GAUGES = {
    "relay_outbox_unpublished_rows": "Rows of the outbox that are not in Kafka yet.",
    "relay_outbox_oldest_unpublished_seconds": "Age of the oldest row that is not in Kafka yet.",
    "relay_outbox_refused_rows": "Rows that Kafka refused for good; their keys wait for a person.",
    "relay_outbox_partitions_ahead": "Empty partitions of the outbox for future rows.",
    "relay_foreign_records": "Records in Kafka that are not from the outbox and that nobody has explained.",
    "relay_consumer_lag_events": "Events that the consumer has not applied.",
    "relay_consumer_lag_keys": "Keys with events that the consumer has not applied.",
    "relay_consumer_oldest_unapplied_seconds": "Age of the oldest event that the consumer has not applied.",
    "relay_consumer_parked_keys": "Keys whose events wait because an event failed.",
    "relay_consumer_paused": "1 while the consumer is paused by a person or by its circuit breaker.",
    "relay_consumer_canary_age_seconds": "Age of the newest canary that the consumer has applied.",
    "relay_process_round_age_seconds": "Time since the process last completed a round; infinite before the first.",
    "relay_process_tried_age_seconds": "Time since the last round of the process, completed or failed.",
    "relay_process_start_time_seconds": "When the process started, as a Unix time.",
    "relay_batches_fast": "1 if the relay sends whole batches, 0 if it sends records one by one, which is slower.",
    "relay_shards_held": "Shards that the relay holds a lease of.",
    "relay_shards_free": "Shards whose lease has ended.",
    "relay_oldest_transaction_seconds": "Age of the oldest transaction, prepared one or slot that holds vacuum back.",
    "relay_oldest_transaction_transactions": "Transactions that have begun since it holds vacuum back.",
    "relay_scrape_failed": "1 if the section could not be read in time, so that its other metrics are missing.",
    "relay_scrape_seconds": "Time to read the section.",
}
_SHARDS = "select owner, count(*) from relay_shardlease where until > clock_timestamp() group by owner"
_FREE = "select count(*) from relay_shardlease where until <= clock_timestamp()"

Sample = tuple[str, dict[str, str], Any]  # name, labels, number or histogram


def _query(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def read_outbox() -> Iterator[Sample]:
    """Yield the backlog of the outbox."""
    unpublished = read_unpublished()
    yield "relay_outbox_unpublished_rows", {}, unpublished.rows
    yield "relay_outbox_oldest_unpublished_seconds", {}, unpublished.oldest_seconds
    yield "relay_outbox_refused_rows", {}, unpublished.refused
    yield "relay_foreign_records", {}, count_unexplained()
    position = read_position()
    yield "relay_outbox_partitions_ahead", {}, sum(partition.first > position for partition in list_partitions())


def read_consumer(consumer: Consumer, *, seconds: float) -> Iterator[Sample]:
    """Yield the lag of `consumer`, an estimate if counting would take more than about `seconds`."""
    labels, lag = {"consumer": consumer.name}, read_lag(consumer, seconds=seconds)
    yield "relay_consumer_lag_events", labels, lag.events
    yield "relay_consumer_lag_keys", labels, lag.keys
    yield "relay_consumer_oldest_unapplied_seconds", labels, lag.oldest_seconds
    yield "relay_consumer_parked_keys", labels, lag.parked


def read_states() -> Iterator[Sample]:
    """Yield, for each consumer, whether it is paused and the age of its newest canary."""
    paused = set(ConsumerState.objects.exclude(paused_at=None).values_list("consumer", flat=True))
    consumers = [consumer.name for consumer in all_consumers()]
    ages = read_canary_ages(consumers)
    for name in consumers:
        yield "relay_consumer_paused", {"consumer": name}, int(name in paused)
        if name in ages:
            yield "relay_consumer_canary_age_seconds", {"consumer": name}, ages[name]


def read_rounds() -> Iterator[Sample]:
    """Yield the ages of each process's rounds, and its counters: relay_…_total or relay_consumer_…_total."""
    consumers = {consumer.name for consumer in all_consumers()}
    for process in read_processes():
        labels = {"name": process.name, "process": process.process}
        age = float("inf") if process.age is None else process.age
        yield "relay_process_round_age_seconds", labels, age
        yield "relay_process_tried_age_seconds", labels, process.tried_age
        yield "relay_process_start_time_seconds", labels, process.started_at.timestamp()
        if process.fallback is not None:
            yield "relay_batches_fast", labels, int(not process.fallback)
        prefix = "relay_consumer" if process.name in consumers else "relay"
        labels = {"consumer" if process.name in consumers else "name": process.name, "process": process.process}
        for figure, value in (process.counters | process.histograms).items():
            yield f"{prefix}_{re.sub(r'[^a-z0-9]+', '_', figure.lower())}", labels, value


def read_shards() -> Iterator[Sample]:
    """Yield the number of shards of each relay, and the number of free shards."""
    for owner, count in _query(_SHARDS):
        yield "relay_shards_held", {"owner": owner}, count
    yield "relay_shards_free", {}, _query(_FREE)[0][0]


def read_vacuum() -> Iterator[Sample]:
    """Yield the transactions and slots that hold vacuum back, with their owners."""
    for holder in read_holders():
        labels = {"kind": holder.kind, "application": holder.application, "user": holder.user}
        labels |= {"state": holder.state, "pid": holder.pid}
        yield "relay_oldest_transaction_seconds", labels, holder.seconds
        yield "relay_oldest_transaction_transactions", labels, holder.transactions
