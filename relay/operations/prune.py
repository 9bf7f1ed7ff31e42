"""Pruning: drop whole partitions of the outbox whose rows are all old, published and applied by every consumer.

First the floors of the keys are raised in small transactions, so that publishers never wait for long. Raising a floor
without dropping the partition is harmless, because every consumer has applied all events up to the floor.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.utils import timezone

from relay.conf import configuration
from relay.consumer.registry import all_consumers
from relay.database import connection
from relay.operations.audit import record_intervention
from relay.operations.fence import fence_off_pruning
from relay.partitions import (
    Partition,
    brief_locks,
    drop_partition,
    list_partitions,
    read_position,
    retry_while_busy,
    wait_for_writers,
)

CHUNK_KEYS = 2000

_COUNT = """
select count(*), count(*) filter (where published_at is null), count(refused_reason),
       count(*) filter (where created_at > %s)
from {partition}
"""
# The last event of each key in the partition, numbered in the order in which publishers lock keys.
_COLLECT = """
insert into relay_pruned_key (number, topic, key, last)
select row_number() over (order by topic collate "C", key collate "C"), topic, key, max(sequence)
from {partition} group by topic, key
"""
_BEHIND = """
select w.consumer, count(*)
from relay_pruned_key e
join unnest(%(consumers)s::text[], %(topics)s::text[]) as w (consumer, topic) using (topic)
left join relay_cursor c on c.consumer = w.consumer and c.topic = e.topic and c.key = e.key
left join relay_stream s on s.topic = e.topic and s.key = e.key
where e.number between %(first)s and %(last)s and coalesce(c.last, s.floor, 0) < e.last
group by w.consumer order by w.consumer
"""
_RAISE_FLOORS = """
with locked as (
    select s.topic, s.key, e.last from relay_pruned_key e join relay_stream s using (topic, key)
    where e.number between %(first)s and %(last)s and s.floor < e.last
    order by e.number for update of s)
update relay_stream s set floor = locked.last from locked where s.topic = locked.topic and s.key = locked.key
"""


@dataclass(slots=True)
class Verdict:
    """A partition, and the reasons to keep it. Without reasons it can be dropped."""

    name: str
    first: int
    end: int
    rows: int = 0
    dropped: bool = False
    kept_because: list[str] = field(default_factory=list)


def prune(*, actor: str, reason: str = "", dry_run: bool = False) -> list[Verdict]:
    """Check every partition, the oldest first, and drop it if there is no reason to keep it. Return the verdicts.

    :raises OperationalError: a table stayed locked. Dropped partitions stay dropped, and retrying later is safe.
    """
    position = read_position()
    verdicts = []
    for partition in list_partitions():
        verdict = judge(partition, position)
        verdicts.append(verdict)
        if verdict.kept_because or dry_run:
            continue
        if raise_floors(verdict):
            drop_partition(partition)
            verdict.dropped = True
            after = f"{verdict.rows} rows, positions {partition.first} to {partition.end - 1}"
            record_intervention("prune", actor=actor, reason=reason, before=partition.name, after=after)
    return verdicts


def judge(partition: Partition, position: int) -> Verdict:
    """Return the verdict on `partition`; `position` is the last assigned one. Collect the keys if it may be dropped."""
    verdict = Verdict(partition.name, partition.first, partition.end)
    if partition.end > position:
        verdict.kept_because.append("it is not full yet" if partition.first <= position else "it is still empty")
        return verdict
    wait_for_writers(partition)
    keep_until = timezone.now() - timedelta(days=configuration().keep_days)
    with connection.cursor() as cursor:
        # Times increase with positions, so check the last row before reading all rows.
        cursor.execute(f"select created_at from {partition.name} order by position desc limit 1")  # noqa: S608
        newest = cursor.fetchone()
        if newest and newest[0] > keep_until:
            verdict.kept_because.append(f"its newest row is from {newest[0]:%Y-%m-%d %H:%M}: {_days()}")
            return verdict
        cursor.execute(_COUNT.format(partition=partition.name), [keep_until])
        verdict.rows, unpublished, refused, young = cursor.fetchone()
        for count, what in [(unpublished, "unpublished"), (refused, "refused"), (young, f"too young ({_days()})")]:
            if count:
                verdict.kept_because.append(f"{count} rows are {what}")
        collect_keys(partition)
    verdict.kept_because += [f"{name} is behind in {keys} keys" for name, keys in count_behind(1, 2**62).items()]
    return verdict


def _days() -> str:
    return f"rows are kept for {configuration().keep_days} days"


def collect_keys(partition: Partition) -> None:
    """Store the last event of each key in `partition` in a temporary table."""
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists relay_pruned_key")
        cursor.execute(
            "create temporary table relay_pruned_key (number bigint primary key, topic text, key text, last bigint)"
        )
        cursor.execute(_COLLECT.format(partition=partition.name))
        cursor.execute("analyze relay_pruned_key")


def count_behind(first: int, last: int) -> dict[str, int]:
    """Return, by consumer, how many collected keys with numbers [first, last] it has not applied completely."""
    consumers = all_consumers()
    pairs = [(name, topic) for one in consumers for name in (one.name, *one.followers()) for topic in one.topics]
    with connection.cursor() as cursor:
        cursor.execute(
            _BEHIND,
            {
                "consumers": [name for name, _ in pairs],
                "topics": [topic for _, topic in pairs],
                "first": first,
                "last": last,
            },
        )
        return dict(cursor.fetchall())


def raise_floors(verdict: Verdict) -> bool:
    """Raise the floors of the collected keys. Return False if a rebuild has reset a consumer in the meantime."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(max(number), 0) from relay_pruned_key")
        (keys,) = cursor.fetchone()
    for first in range(1, keys + 1, CHUNK_KEYS):
        behind = retry_while_busy(partial(_raise_chunk, first, first + CHUNK_KEYS - 1))
        if behind:
            verdict.kept_because += [f"{name} is behind again in {count} keys" for name, count in behind.items()]
            return False
    return True


def _raise_chunk(first: int, last: int) -> dict[str, int]:
    with brief_locks(), connection.cursor() as cursor:
        fence_off_pruning()
        behind = count_behind(first, last)
        if not behind:
            cursor.execute(_RAISE_FLOORS, {"first": first, "last": last})
        return behind
