"""Republishing: the relays send published events of a topic again, after Kafka has lost them.

For each key the relays send every event from the first lost one to the newest one, in order. An event that is published
meanwhile is therefore sent again behind the older ones, even if it is in Kafka already:

1. Rows below the low watermark become unpublished, in chunks. The relays do not read there, so nothing is sent yet.
2. One transaction takes the leases from all relays, makes the last rows unpublished and lowers the low marks. A relay
   that has lost its leases can't mark a row, and forgets its buffer. After PAUSE_SECONDS it takes the leases again and
   begins at the marks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from relay.database import connection, transaction
from relay.forwarder.lease import RENEW_SECONDS
from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention
from relay.partitions import read_low_watermark, read_position

CHUNK_KEYS = 1000
# Keys with pruned events that a result names.
NAMED_KEYS = 20
POLL_SECONDS = 0.5
# Time for which no relay can take the leases: all relays notice their loss, and end their last batches.
PAUSE_SECONDS = RENEW_SECONDS + 0.5

# The first event of each key that is sent again. An interrupted run leaves unpublished rows below the low marks.
_COLLECT = """
insert into relay_republished_key (number, key, first)
select row_number() over (order by o.key collate "C"), o.key, min(o.sequence)
from relay_outbox o left join relay_shardlease l on l.shard = o.key_hash %% 16
where o.topic = %(topic)s and o.refused_reason is null
  and (o.published_at between %(since)s and %(until)s or (o.published_at is null and o.position <= l.low_mark))
group by o.key
"""
_COUNT = """
select (select count(*) from relay_republished_key), count(*), min(o.position), max(o.position)
from relay_republished_key k join relay_outbox o on o.topic = %(topic)s and o.key = k.key and o.sequence >= k.first
"""
_UNPUBLISH = """
update relay_outbox o set published_at = null from relay_republished_key k
where o.topic = %(topic)s and o.key = k.key and o.sequence >= k.first and o.published_at is not null
  and k.number between %(from)s and %(to)s and o.position between %(first)s and %(last)s
"""
_TAKE_LEASES = """
with locked as (select shard from relay_shardlease order by shard for update)
update relay_shardlease lease set owner = '', until = clock_timestamp() + make_interval(secs => %(pause)s),
    low_mark = least(low_mark, %(first)s - 1)
from locked where lease.shard = locked.shard
"""
_PRUNED = """
select count(*), coalesce(sum(floor), 0)::bigint, (array_agg(key order by key))[:%(named)s]
from relay_stream where topic = %(topic)s and floor > 0
  and %(since)s < (select created_at from relay_outbox order by position limit 1)
"""
_WAITING = """
select count(*) from relay_outbox
where position > %s and position <= %s and topic = %s and published_at is null and refused_reason is null
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """Events of `topic` that were published at a time in [`since`, `until`], and that Kafka has lost."""

    topic: str
    since: datetime
    until: datetime


@dataclass(slots=True)
class Republished:
    """Numbers of keys and rows that are sent again, at the positions `first` to `last`.

    `pruned_events` of `pruned_keys` are no longer in the outbox and can't be sent again; `named_keys` are some of them.
    """

    keys: int
    rows: int
    first: int
    last: int
    pruned_keys: int = 0
    pruned_events: int = 0
    named_keys: list[str] = field(default_factory=list)


def republish(
    loss: Loss, *, actor: str, reason: str, dry_run: bool = False, report: Callable[[str], None] = lambda text: None
) -> Republished:
    """Let the relays send the events of `loss` again, and all later events of their keys; return the numbers.

    An interrupted call changes nothing that a repetition does not repair.

    :param report: called with the progress.
    :raises Refused: no event was published in this time, the times are wrong, or `reason` is empty.
    """
    demand_reason(reason)
    _check(loss)
    report("searching the outbox")
    found = _collect(loss)
    if dry_run:
        return found
    after = f"{found.rows} events of {found.keys} keys since {loss.since:%Y-%m-%d %H:%M:%S %Z}, sent again"
    record_intervention("republish", actor=actor, reason=reason, topic=loss.topic, after=after)
    low_watermark = read_low_watermark()
    for start in range(1, found.keys + 1, CHUNK_KEYS):
        _unpublish(loss, start, start + CHUNK_KEYS - 1, found.first, low_watermark)
        report(f"prepared {min(start + CHUNK_KEYS - 1, found.keys):,} of {found.keys:,} keys")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TAKE_LEASES, {"first": found.first, "pause": PAUSE_SECONDS})
        # All rows again: a redrive may have lowered a mark, so that a relay has sent some of them too early.
        _unpublish(loss, 1, found.keys, found.first, read_position())
    found.last = read_position()
    return found


def _check(loss: Loss) -> None:
    if loss.since > timezone.now():
        raise Refused(f"--since {loss.since} is in the future")
    if loss.until < loss.since:
        raise Refused(f"--until {loss.until} is before --since {loss.since}")
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from relay_stream where topic = %s)", [loss.topic])
        if not cursor.fetchone()[0]:
            cursor.execute("select distinct topic from relay_stream order by topic")
            known = ", ".join(topic for (topic,) in cursor.fetchall()) or "none"
            raise Refused(f"no event was ever published to the topic {loss.topic!r}; the outbox has: {known}")


def _collect(loss: Loss) -> Republished:
    """Store the first event of each key of `loss` in a temporary table, and return the numbers.

    :raises Refused: there is none.
    """
    values: dict[str, Any] = {"topic": loss.topic, "since": loss.since, "until": loss.until, "named": NAMED_KEYS}
    with connection.cursor() as cursor:
        cursor.execute("drop table if exists relay_republished_key")
        cursor.execute(
            "create temporary table relay_republished_key (number bigint primary key, key text, first bigint)"
        )
        cursor.execute(_COLLECT, values)
        cursor.execute("analyze relay_republished_key")
        cursor.execute(_PRUNED, values)
        pruned_keys, pruned_events, named = cursor.fetchone()
        cursor.execute(_COUNT, values)
        keys, rows, first, last = cursor.fetchone()
    if not keys:
        pruned = f"; {pruned_events} older events are pruned and can't be sent again" if pruned_events else ""
        raise Refused(
            f"the outbox has no event of {loss.topic!r} that was published from {loss.since} to {loss.until}{pruned}"
        )
    return Republished(keys, rows, first, last, pruned_keys, pruned_events, named or [])


def _unpublish(loss: Loss, start: int, end: int, first: int, last: int) -> None:
    """Make the rows of the keys number [start, end] at the positions [first, last] unpublished."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"topic": loss.topic, "from": start, "to": end, "first": first, "last": last}
        cursor.execute(_UNPUBLISH, values)


def wait_until_sent(loss: Loss, found: Republished, seconds: float, report: Callable[[str], None]) -> int:
    """Wait up to `seconds` until the relays have sent everything; return the number of rows that still wait."""
    deadline = time.monotonic() + seconds
    while True:
        low_watermark = max(found.first - 1, read_low_watermark())
        with connection.cursor() as cursor:
            cursor.execute(_WAITING, [low_watermark, found.last, loss.topic])
            (waiting,) = cursor.fetchone()
        if not waiting or time.monotonic() > deadline:
            return int(waiting)
        report(f"{waiting:,} events wait for the relays")
        time.sleep(POLL_SECONDS)
