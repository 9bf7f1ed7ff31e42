"""Staged redrive: retry 1, then 10, then 100, then all keys of a selection, and stop when a key fails.

A stage is complete when each of its keys was applied or has failed again. If the bug is still in, a redrive of any
number of keys fails at most 11 of them: the one of the first stage, or the ten of the second.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from relay.database import connection, transaction
from relay.operations.mend import LOCK_LEASES
from relay.operations.parked import RELAY, Parked

#: Keys of the first stages. The last stage has all other keys.
STAGES = (1, 10, 100)
#: Keys that are released and not decided at any time: if a late key fails, few others have been released.
WINDOW = 500
POLL_SECONDS = 0.5

APPLIED, FAILED, WAITING = "applied", "failed", "waiting"

# The number of attempts stays as it is. A key that has used up its retries then fails once, and waits for a person.
_RELEASE = """
with chosen as (select * from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[])
                with ordinality as c (topic, key, sequence, number)),
locked as (
    select found.id, chosen.number
    from (select * from chosen order by topic collate "C", key collate "C") chosen cross join lateral (
        select id from relay_cursor c
        where c.consumer = %(consumer)s and c.topic = chosen.topic and c.key = chosen.key
          and c.parked_at is not null and c.last + 1 = chosen.sequence
        for update) found),
released as (update relay_cursor c set next_try_at = clock_timestamp()
             from locked where c.id = locked.id returning c.*, locked.number),
audit as (
    insert into relay_intervention (actor, action, consumer, topic, key, sequence, before, after, reason)
    select %(actor)s, 'redrive', consumer, topic, key, last + 1, reason, '', %(reason)s from released)
select number, attempts, clock_timestamp() from released
"""
_RELEASE_ROWS = """
with chosen as (select * from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[])
                with ordinality as c (topic, key, sequence, number)),
before as (select o.position, o.refused_reason, chosen.number from chosen join relay_outbox o
           on o.topic = chosen.topic and o.key = chosen.key and o.sequence = chosen.sequence
           where o.refused_reason is not null for update of o),
released as (update relay_outbox o set refused_reason = null from before
             where o.position = before.position returning o.*, before.number, before.refused_reason as refusal),
audit as (
    insert into relay_intervention (actor, action, consumer, topic, key, sequence, before, after, reason)
    select %(actor)s, 'redrive', 'relay', topic, key, sequence, refusal, '', %(reason)s from released)
select number, 1, clock_timestamp() from released
"""
# While a consumer catches up, the key stays parked since the same time. A new time means that a later event failed.
_OUTCOMES = """
select number, case when c.id is null or (c.parked_at is null and c.last >= chosen.sequence) then 'applied'
                    when c.attempts > chosen.attempts or c.parked_at > chosen.at then 'failed' else 'waiting' end
from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[], %(attempts)s::int[], %(ats)s::timestamptz[])
    with ordinality as chosen (topic, key, sequence, attempts, at, number)
left join lateral (
    select * from relay_cursor c where c.consumer = %(consumer)s and c.topic = chosen.topic and c.key = chosen.key
) c on true order by number
"""
_OUTCOMES_OF_ROWS = """
select number, case when o.published_at is not null or o.position is null then 'applied'
                    when o.refused_reason is not null then 'failed' else 'waiting' end
from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[]) with ordinality
    as chosen (topic, key, sequence, number)
left join lateral (
    select * from relay_outbox o
    where o.topic = chosen.topic and o.key = chosen.key and o.sequence = chosen.sequence limit 1
) o on true order by number
"""


class Waiter(NamedTuple):
    """A parked key, and the sequence number of the event at which it waits."""

    topic: str
    key: str
    sequence: int


class Release(NamedTuple):
    """A released key with its earlier attempts, and the time of the release."""

    waiter: Waiter
    attempts: int
    at: object


class StageResult(NamedTuple):
    """The numbers of keys of one stage by outcome. `gone` keys no longer waited at the event that was chosen."""

    stage: int
    keys: int
    applied: int
    failed: int
    gone: int


def find_stage(number: int) -> int:
    """Return the stage, from 0, of the key with this `number` in the selection, from 1."""
    for stage in range(len(STAGES)):
        if number <= sum(STAGES[: stage + 1]):
            return stage
    return len(STAGES)


def release(consumer: str, waiters: Sequence[Waiter], *, actor: str, reason: str) -> dict[int, Release]:
    """Make keys due now, or let the relay send refused rows again; return the released ones by index in `waiters`.

    A key that no longer waits at the event of its waiter is not released.
    """
    values: dict[str, Any] = {"consumer": consumer, "actor": actor, "reason": reason, **_columns(waiters)}
    with transaction.atomic(), connection.cursor() as cursor:
        if consumer == RELAY:
            cursor.execute(LOCK_LEASES)
        cursor.execute(_RELEASE_ROWS if consumer == RELAY else _RELEASE, values)
        return {number - 1: Release(waiters[number - 1], attempts, at) for number, attempts, at in cursor.fetchall()}


def read_outcomes(consumer: str, releases: Sequence[Release]) -> list[str]:
    """Return, for each of `releases`, whether its event was APPLIED, has FAILED again, or is WAITING for a try."""
    values: dict[str, Any] = {
        "consumer": consumer,
        "attempts": [one.attempts for one in releases],
        "ats": [one.at for one in releases],
        **_columns([one.waiter for one in releases]),
    }
    with connection.cursor() as cursor:
        cursor.execute(_OUTCOMES_OF_ROWS if consumer == RELAY else _OUTCOMES, values)
        return [outcome for _, outcome in cursor.fetchall()]


def _columns(waiters: Sequence[Waiter]) -> dict[str, Any]:
    return {
        "topics": [waiter.topic for waiter in waiters],
        "keys": [waiter.key for waiter in waiters],
        "sequences": [waiter.sequence for waiter in waiters],
    }


def redrive_in_stages(chosen: Sequence[Parked], *, actor: str, reason: str) -> Iterator[StageResult]:
    """Redrive `chosen` keys of one consumer in stages, and yield the result of each stage. Stop after a failed stage.

    The keys are retried by the processes of the consumer, which must run. This function waits for them.
    """
    for stage in range(len(STAGES) + 1):
        waiters = [Waiter(p.topic, p.key, p.sequence) for n, p in enumerate(chosen, start=1) if find_stage(n) == stage]
        if waiters:
            result = _run_stage(stage, chosen[0].consumer, waiters, actor, reason)
            yield result
            if result.failed:
                return


def _run_stage(stage: int, consumer: str, waiters: list[Waiter], actor: str, reason: str) -> StageResult:
    applied = failed = gone = 0
    for start in range(0, len(waiters), WINDOW):
        window = waiters[start : start + WINDOW]
        releases = [*release(consumer, window, actor=actor, reason=reason).values()]
        gone += len(window) - len(releases)
        while WAITING in (outcomes := read_outcomes(consumer, releases)):
            time.sleep(POLL_SECONDS)
        applied, failed = applied + outcomes.count(APPLIED), failed + outcomes.count(FAILED)
        if failed:
            break
    return StageResult(stage, len(waiters), applied, failed, gone)
