"""Pruning of streams: delete the rows of keys whose events neither the outbox nor Kafka holds any more.

Only topics with a retention lose streams. The next event of a deleted stream gets sequence 1 again, therefore its
cursors are deleted in the same transaction, and Kafka must have deleted the former events, too.
"""

from datetime import timedelta
from functools import partial

from relay.conf import configuration
from relay.database import connection
from relay.operations.audit import record_intervention
from relay.operations.fence import fence_off_pruning
from relay.partitions import brief_locks, retry_while_busy

CHUNK_STREAMS = 2000
#: Kafka deletes a record at most this long after the topic's retention: a segment is closed after seven days.
SEGMENT = timedelta(days=8)

# The first pruned stream of a topic stays: its floor refuses rebuilds and replays that would lack events.
_FORGOTTEN = """
select s.key, s.last from relay_stream s
where s.topic = %(topic)s and s.floor = s.last and s.last > 0
  and s.key > (select min(first.key) from relay_stream first where first.topic = s.topic and first.floor > 0)
  and not exists (select from relay_cursor c where c.topic = s.topic and c.key = s.key
                  and (c.last < s.last or c.parked_at is not null))
"""
_COUNT = f"select count(*) from ({_FORGOTTEN}) forgotten"  # noqa: S608
_DELETE = f"""
with forgotten as materialized (
    {_FORGOTTEN} order by s.key collate "C" limit %(limit)s for update of s skip locked),
cursors as (delete from relay_cursor c using forgotten f where c.topic = %(topic)s and c.key = f.key)
delete from relay_stream s using forgotten f where s.topic = %(topic)s and s.key = f.key and s.last = f.last
"""  # noqa: S608


def prune_streams(*, actor: str, reason: str = "", dry_run: bool = False) -> dict[str, int]:
    """Delete the streams without events and their cursors, and return their number by topic.

    A topic is skipped if the outbox keeps events (`keep_days`) for less time than Kafka may keep them.

    :raises OperationalError: a table stayed locked. Deleted streams stay deleted, and retrying later is safe.
    """
    found = {}
    for topic in list_forgetting():
        found[topic] = count_forgotten(topic) if dry_run else delete_forgotten(topic)
        if found[topic] and not dry_run:
            after = f"{found[topic]} streams of {topic}"
            record_intervention("prune", actor=actor, reason=reason, before="streams", after=after)
    return found


def list_forgetting() -> list[str]:
    """Return the topics whose records Kafka has deleted before their rows leave the outbox."""
    keeping = timedelta(days=configuration().keep_days)
    retentions = configuration().retention_ms.items()
    return sorted(topic for topic, ms in retentions if ms >= 0 and timedelta(milliseconds=ms) + SEGMENT <= keeping)


def count_forgotten(topic: str) -> int:
    """Return the number of streams of `topic` that can be deleted."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"topic": topic})
        return int(cursor.fetchone()[0])


def delete_forgotten(topic: str) -> int:
    """Delete the streams of `topic` that have no events any more, in small transactions. Return their number."""
    deleted = 0
    while chunk := retry_while_busy(partial(_delete_chunk, topic)):
        deleted += chunk
    return deleted


def _delete_chunk(topic: str) -> int:
    with brief_locks(), connection.cursor() as cursor:
        fence_off_pruning()
        cursor.execute(_DELETE, {"topic": topic, "limit": CHUNK_STREAMS})
        return int(cursor.rowcount)
