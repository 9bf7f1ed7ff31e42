"""Manual repair of a parked key: redrive it, edit the payload of its failing event, or skip this event.

A redriven key stays parked, so that its events stay in order, until its consumer retries it within a second.
"""

from typing import Any

import msgspec
from django.db.backends.utils import CursorWrapper

from relay.database import connection, transaction
from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention
from relay.operations.parked import RELAY, Parked, Selection, Waiting, list_parked, show_parked
from relay.publisher.event import UnableToDecodeEvent
from relay.publisher.outbox import MAX_EVENT_BYTES
from relay.publisher.topics import UnknownEventType, decode_event

# Check the chosen keys again under their locks, because another person may have redriven them meanwhile.
_REDRIVE_KEYS = """
with chosen as (select * from unnest(%(consumers)s::text[], %(topics)s::text[], %(keys)s::text[])
                as c (consumer, topic, key)),
locked as (select id from relay_cursor join chosen using (consumer, topic, key) where parked_at is not null
           order by topic collate "C", key collate "C" for update of relay_cursor),  -- as consumers do
redriven as (update relay_cursor c set next_try_at = clock_timestamp(), attempts = 0
             from locked where c.id = locked.id returning c.*)
insert into relay_intervention (actor, action, consumer, topic, key, sequence, before, after, reason)
select %(actor)s, 'redrive', consumer, topic, key, last + 1, reason, '', %(reason)s from redriven
"""
# The trigger on refused_reason lowers the marks of the rows' shards, so lock the leases first, in the order of shards.
LOCK_LEASES = """
select from relay_shardlease where shard in (select key_hash % 16 from relay_outbox where refused_reason is not null)
order by shard for update
"""
_REDRIVE_ROWS = """
with chosen as (select * from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[], %(reasons)s::text[])
                as c (topic, key, sequence, refusal)),
redriven as (update relay_outbox o set refused_reason = null from chosen c
             where o.topic = c.topic and o.key = c.key and o.sequence = c.sequence and refused_reason is not null
             returning o.topic, o.key, o.sequence, c.refusal)
insert into relay_intervention (actor, action, consumer, topic, key, sequence, before, after, reason)
select %(actor)s, 'redrive', 'relay', topic, key, sequence, refusal, '', %(reason)s from redriven
"""


def redrive(selection: Selection, *, actor: str, reason: str = "", dry_run: bool = False) -> list[Parked]:
    """Make the selected keys due now and let the relay send selected refused rows again; return the selection.

    :raises Refused: the consumer does not exist.
    """
    chosen = list_parked(selection)
    keys, rows = [p for p in chosen if p.consumer != RELAY], [p for p in chosen if p.consumer == RELAY]
    if not dry_run:
        with transaction.atomic(), connection.cursor() as cursor:
            values = {"actor": actor, "reason": reason}
            if keys:
                cursor.execute(_REDRIVE_KEYS, values | _columns(keys))
            if rows:
                cursor.execute(LOCK_LEASES)
                cursor.execute(_REDRIVE_ROWS, values | _columns(rows))
    return chosen


def _columns(parked: list[Parked]) -> dict[str, Any]:
    return {
        "consumers": [p.consumer for p in parked],
        "topics": [p.topic for p in parked],
        "keys": [p.key for p in parked],
        "sequences": [p.sequence for p in parked],
        "reasons": [p.reason for p in parked],
    }


def edit(consumer: str, topic: str, key: str, body: str, *, actor: str, reason: str, dry_run: bool = False) -> Waiting:
    """Replace the payload of the event at which a parked key waits; return the event before the change.

    This changes the row in the outbox, from which a redrive reads. Records in Kafka and effects of other consumers do
    not change.

    :raises Refused: the key is not parked, the event is not in the outbox, or `body` is not the same event.
    """
    demand_reason(reason)
    with transaction.atomic(), connection.cursor() as cursor:
        _lock_parked(cursor, consumer, topic, key)
        event = show_parked(consumer, topic, key, limit=0).event
        if event is None:
            raise Refused(f"the outbox does not hold the event at which {key!r} of {topic} waits: skip it instead")
        check_same_event(event, topic, key, body)
        cursor.execute(
            "update relay_outbox set body = %s where topic = %s and key = %s and sequence = %s and body = %s",
            [body, topic, key, event.sequence, event.body],
        )
        if cursor.rowcount != 1:
            raise Refused(f"event {event.sequence} of {key!r} was changed in the meantime: show it again and retry")
        record_intervention(
            "edit",
            actor=actor,
            reason=reason,
            consumer=consumer,
            topic=topic,
            key=key,
            sequence=event.sequence,
            before=event.body,
            after=body,
        )
        transaction.set_rollback(dry_run)
    return event


def _lock_parked(cursor: CursorWrapper, consumer: str, topic: str, key: str) -> None:
    """Lock a key's cursor, or its refused rows for RELAY. No redrive can apply or send the event meanwhile."""
    if consumer == RELAY:
        cursor.execute(
            "select from relay_outbox where topic = %s and key = %s and refused_reason is not null"
            " order by position for update",
            [topic, key],
        )
    else:
        cursor.execute(
            "select from relay_cursor where consumer = %s and topic = %s and key = %s for update",
            [consumer, topic, key],
        )


def check_same_event(event: Waiting, topic: str, key: str, body: str) -> None:
    """Check that `body` is a payload for `event`: readable as its type, with the same key and the same id.

    :raises Refused: one of these checks fails.
    """
    if len(body.encode()) > MAX_EVENT_BYTES:
        raise Refused(f"the payload has {len(body.encode())} bytes, the limit is {MAX_EVENT_BYTES}")
    try:
        edited = decode_event(event.type, topic, body)
        event_id = msgspec.json.decode(body)["event_id"]
    except (UnableToDecodeEvent, UnknownEventType) as error:
        raise Refused(f"the payload can't be read: {error}") from error
    if edited.key != key:
        raise Refused(f"the payload belongs to the key {edited.key!r}, not to {key!r}: an event keeps its key")
    if event_id != event.event_id:
        raise Refused(f"the payload has the event_id {event_id}, not {event.event_id}: an event keeps its id")


def skip(
    consumer: str,
    topic: str,
    key: str,
    *,
    actor: str,
    reason: str,
    sequence: int | None = None,
    dry_run: bool = False,
) -> Parked:
    """Move the cursor of a parked key over the failing event, which is never applied; return the key before the change.

    The consumer tries the events behind it within a second. If `sequence` is given, the key must wait at this event.

    :raises Refused: the key is not parked, waits at another event, or no event follows its cursor.
    """
    demand_reason(reason)
    if consumer == RELAY:
        raise Refused("a refused row can't be skipped, because readers need every sequence number: edit or redrive it")
    with transaction.atomic(), connection.cursor() as cursor:
        _lock_parked(cursor, consumer, topic, key)
        shown = show_parked(consumer, topic, key, limit=0)
        parked, event = shown.parked, shown.event
        if sequence not in (None, parked.sequence):
            raise Refused(f"the key {key!r} waits at event {parked.sequence}, not at {sequence}: show it again")
        cursor.execute("select last from relay_stream where topic = %s and key = %s", [topic, key])
        end = cursor.fetchone()
        if end is None or end[0] < parked.sequence:
            raise Refused(f"no event follows in {key!r} of {topic}: redrive it instead")
        cursor.execute(
            "update relay_cursor set last = %s, applied_at = applied_at || null::timestamptz, attempts = 0,"
            " next_try_at = clock_timestamp()"
            " where consumer = %s and topic = %s and key = %s",
            [parked.sequence, consumer, topic, key],
        )
        record_intervention(
            "skip",
            actor=actor,
            reason=reason,
            consumer=consumer,
            topic=topic,
            key=key,
            sequence=parked.sequence,
            before=f"{parked.reason}\n{event.body if event else 'not in the outbox'}",
            after="skipped",
        )
        transaction.set_rollback(dry_run)
    return parked
