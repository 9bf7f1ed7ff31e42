"""After a restore: explain the records in Kafka that the outbox does not have, and redrive the keys that wait for them.

These records are phantoms of lost transactions, or forged. Consumers drop an explained record, and apply the event of
the outbox that has its number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from relay.arrays import split_into_chunks
from relay.conf import configuration
from relay.consumer.deliveries import Delivery
from relay.consumer.origin import Foreign, find_foreign_in_log, note_foreign
from relay.database import connection, transaction
from relay.operations import cluster
from relay.operations.audit import demand_reason, record_intervention
from relay.operations.mend import redrive
from relay.operations.parked import Parked, Selection
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_topics

CHUNK_RECORDS = 1000
# The beginning of the reason of a key that a foreign record has parked.
GROUP = "UnknownOrigin: "


@dataclass(frozen=True, slots=True)
class Restore:
    """The foreign records that nobody had explained, the number of records read, and the keys that were redriven."""

    found: list[Foreign]
    records: int
    redriven: list[Parked]


def recover(*, actor: str, reason: str = "", dry_run: bool = False, tell: Callable[[int], None]) -> Restore:
    """Find all foreign records in Kafka, explain them and redrive the keys that they have parked. A dry run only finds.

    Kafka's log, the outbox and the cursors do not change, so repeating it is safe. Call `tell` with the number of
    records after each chunk.

    :raises Refused: `reason` is empty, unless it is a dry run.
    :raises BrokerUnavailable: Kafka's log can't be read.
    """
    if not dry_run:
        demand_reason(reason)
    found, records = list[Foreign](), 0
    for chunk in split_into_chunks(cluster.read_log(list_own_topics()), CHUNK_RECORDS):
        records += len(chunk)
        found += find_unexplained(chunk)
        tell(records)
    if dry_run:
        return Restore(found, records, redrive(Selection(group=GROUP), actor=actor, dry_run=True))
    return Restore(found, records, explain(found, actor=actor, reason=reason))


def list_own_topics() -> list[str]:
    """Return the topics that this outbox fills, removed ones included, without the topic of the canaries."""
    with connection.cursor() as cursor:
        cursor.execute("select distinct topic from relay_stream")
        topics = {*known_topics(), *(topic for (topic,) in cursor.fetchall())}
    return sorted(topics - {CanarySent.topic, *configuration().foreign_topics})


def find_unexplained(chunk: Sequence[Delivery]) -> Iterator[Foreign]:
    """Yield the foreign records of `chunk` that nobody has explained. Skip those whose row is edited or pruned."""
    for found in find_foreign_in_log([delivery for delivery in chunk if not delivery.problem]):
        if not (found.explained or found.edited or found.is_pruned):
            yield found


def explain(found: Sequence[Foreign], *, actor: str, reason: str) -> list[Parked]:
    """Store `found` and all noticed records as explained, and return the keys that it redrives."""
    keys = {record.key for record in found}
    with transaction.atomic(), connection.cursor() as cursor:
        for chunk in split_into_chunks(found, CHUNK_RECORDS):
            note_foreign(chunk)
        cursor.execute("update relay_foreignrecord set explained_at = clock_timestamp() where explained_at is null")
        record_intervention(
            "restore", actor=actor, reason=reason, after=f"{len(found)} foreign records of {len(keys)} keys explained"
        )
        return redrive(Selection(group=GROUP), actor=actor, reason=reason)
