"""Origin: whether a record of Kafka is the event of the outbox row with its number.

Anyone who can write to Kafka can forge a record. A database that goes back leaves phantoms: records of events whose
transaction is lost. A consumer therefore applies a record only if its type and body equal its row.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from relay.arrays import to_array
from relay.consumer.deliveries import Delivery
from relay.database import connection, transaction

#: SQL of the digest of an outbox row `o`: equal to `Delivery.digest` of the record that the relay sent for the row.
DIGEST = "encode(sha256(convert_to(o.type || E'\\n' || o.body, 'UTF8')), 'hex')"

# Scalar subqueries, because PostgreSQL may hash an EXISTS, which reads the whole outbox.
_COMPARE = f"""
with wanted as materialized (
    select * from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[], %(digests)s::text[],
                         %(ids)s::text[])
    with ordinality as w (topic, key, sequence, digest, event_id, number)),
compared as materialized (
    select w.*,
           (select array[o.event_id::text, o.type, o.body, o.traceparent, {DIGEST}] from relay_outbox o
            where o.key = w.key and o.topic = w.topic and o.sequence = w.sequence limit 1) as row,
           coalesce((select floor from relay_stream s where s.key = w.key and s.topic = w.topic), 0) as floor
    from wanted w)
select number, row[1], row[2], row[3], row[4], row[5] = digest, floor,
       exists (select from relay_intervention i
               where i.action = 'edit' and i.topic = c.topic and i.key = c.key and i.sequence = c.sequence
                 and encode(sha256(convert_to(row[2] || E'\\n' || i.before, 'UTF8')), 'hex') = digest),
       exists (select from relay_foreignrecord f
               where f.key = c.key and f.topic = c.topic and f.sequence = c.sequence and f.digest = c.digest
                 and f.event_id = c.event_id and f.explained_at is not null)
from compared c where row is null or row[5] <> digest or event_id not in ('', row[1])
order by number
"""  # noqa: S608 - a constant
_SET_PLANNER = "select set_config('enable_seqscan', %s, true), set_config('enable_nestloop', %s, true)"
_NOTE = """
insert into relay_foreignrecord (topic, key, sequence, event_id, type, digest, partition, "offset", found_at)
select *, clock_timestamp()
from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[], %(ids)s::text[], %(types)s::text[],
            %(digests)s::text[], %(partitions)s::int[], %(offsets)s::bigint[])
on conflict (key, topic, sequence, digest, event_id) do nothing
"""

ADVICE = (
    "It was not applied. If the database was restored or failed over, run relay_after_restore. Otherwise find out who"
    " wrote to Kafka. A redrive applies the events of the outbox."
)


class UnknownOrigin(ValueError):
    """A record of Kafka is not the event of the outbox row with its number. It is never applied."""


class OutboxEvent(NamedTuple):
    """The event of an outbox row."""

    event_id: str
    type: str
    body: str
    traceparent: str


class Foreign(NamedTuple):
    """A record that differs from the outbox row with its number, or has no row (`event` is None).

    `same_event` is true if only the header `ce_id` differs. `edited`: a person has edited the row since it was sent.
    `explained`: a person has recorded this record as foreign. `floor` is the floor of the stream.
    """

    delivery: Delivery
    event: OutboxEvent | None
    same_event: bool
    floor: int
    edited: bool
    explained: bool

    @property
    def key(self) -> tuple[str, str]:
        """The topic and the key of the record."""
        return self.delivery.topic, self.delivery.key

    @property
    def is_pruned(self) -> bool:
        """Whether the row is pruned, so that nothing is left to compare."""
        return self.event is None and self.delivery.sequence <= self.floor

    def describe(self) -> str:
        """Return a sentence that names the record and how it differs from the outbox."""
        sent, event = self.delivery, self.event
        place = f"{sent.topic}[{sent.partition}]@{sent.offset}"
        record = f"Kafka's record of sequence {sent.sequence} ({place}) has event {sent.event_id or 'without an id'}"
        if self.is_pruned:
            return f"{record}, and the outbox is pruned up to sequence {self.floor}: the record can't be compared"
        if event is None:
            return f"{record} ({sent.type}), and the outbox has no event with this sequence"
        if (event.event_id, event.type) == (sent.event_id, sent.type):
            return f"{record} ({sent.type}), and its body differs from that event's row in the outbox"
        return f"{record} ({sent.type}), the outbox has {event.event_id} ({event.type})"


def find_foreign(deliveries: Sequence[Delivery]) -> Iterator[Foreign]:
    """Yield each of `deliveries` that the relay did not send from the outbox as it is now.

    All `deliveries` must be readable, and none may be of a topic in RELAY["FOREIGN_TOPICS"].
    """
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE, _name_columns(deliveries))
        rows = cursor.fetchall()
    for number, event_id, event_type, body, traceparent, same, *facts in rows:
        event = None if event_id is None else OutboxEvent(event_id, event_type, body, traceparent)
        yield Foreign(deliveries[number - 1], event, bool(same), *facts)


def find_foreign_in_log(deliveries: Sequence[Delivery]) -> list[Foreign]:
    """Return the foreign records of `deliveries`, a part of Kafka's log, for a command. See :func:`find_foreign`.

    A command may have disabled nested loops, or not have disabled sequential scans: neither suits a lookup by key.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select current_setting('enable_seqscan'), current_setting('enable_nestloop')")
        before = cursor.fetchone()
        cursor.execute(_SET_PLANNER, ["off", "on"])
        found = list(find_foreign(deliveries))
        cursor.execute(_SET_PLANNER, before)  # the caller's transaction may be longer
    return found


def note_foreign(records: Collection[Foreign]) -> int:
    """Store `records` in relay_foreignrecord until a person explains them; return the number of new rows."""
    if not records:
        return 0
    deliveries = [record.delivery for record in records]
    values = _name_columns(deliveries) | {
        "types": to_array(delivery.type.replace("\0", "\\0")[:200] for delivery in deliveries),
        "partitions": to_array(delivery.partition for delivery in deliveries),
        "offsets": to_array(delivery.offset for delivery in deliveries),
    }
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, values)
        return int(cursor.rowcount)


def count_unexplained() -> int:
    """Return the number of foreign records that a consumer or a person has found and nobody has explained."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from relay_foreignrecord where explained_at is null")
        return int(cursor.fetchone()[0])


def _name_columns(deliveries: Sequence[Delivery]) -> dict[str, str]:
    return {
        "topics": to_array(delivery.topic for delivery in deliveries),
        "keys": to_array(delivery.key for delivery in deliveries),
        "sequences": to_array(delivery.sequence for delivery in deliveries),
        "digests": to_array(delivery.digest for delivery in deliveries),
        "ids": to_array(delivery.event_id for delivery in deliveries),
    }
