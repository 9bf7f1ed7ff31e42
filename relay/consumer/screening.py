"""Screening: foreign records are separated from a batch before any handler runs.

A record whose row a person has edited since it was sent is replaced by the row, as a redrive does.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.conf import configuration
from relay.consumer.arrivals import Arrival, read_arrival
from relay.consumer.cursors import Key, LockedCursor, lock_cursors
from relay.consumer.origin import Foreign, find_foreign, note_foreign
from relay.database import connection

# An old position costs little: each partition of the outbox above it takes microseconds per event.
REFRESH_SECONDS = 30.0
_APPLIED = """
select coalesce(min(coalesce(s.position, 0)), 0) from unnest(%s::text[]) as wanted (topic)
left join relay_settled s on s.consumer = %s and s.topic = wanted.topic
"""


class Screened(NamedTuple):
    """The locked cursors of a batch, the arrivals that may be applied, and the foreign records that nobody explained.

    The `foreign` records are stored in relay_foreignrecord. Explained records are in neither list.
    """

    cursors: dict[Key, LockedCursor]
    arrivals: list[Arrival]
    foreign: list[Foreign]


class Applied:
    """The position of the outbox up to which a consumer has applied everything, read every REFRESH_SECONDS.

    Rows of expected events are above it. If it is too high after a rebuild, these rows are found by a further query.
    """

    def __init__(self) -> None:
        self.position = 0
        self._read_at = time.monotonic() + REFRESH_SECONDS

    @property
    def is_old(self) -> bool:
        """Whether the position must be read again."""
        return time.monotonic() >= self._read_at

    def read(self, consumer: str, topics: Sequence[str]) -> None:
        """Read the position. A topic without a stored position counts as 0."""
        self._read_at = time.monotonic() + REFRESH_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(_APPLIED, [list(topics), consumer])
            self.position = int(cursor.fetchone()[0])


def lock_and_screen(consumer: str, batch: list[Arrival], *, since: int = 0) -> Screened:
    """Lock the cursors of `batch`, which has different keys, and compare the arrivals from Kafka with the outbox.

    Must run in a transaction. Arrivals of RELAY["FOREIGN_TOPICS"] are not compared.

    :param since: a position below the rows of most arrivals.
    """
    trusted = configuration().foreign_topics
    digests = {arrival.key: arrival.digest for arrival in batch if arrival.digest and arrival.key[0] not in trusted}
    cursors = lock_cursors(consumer, {arrival.key: arrival.sequence for arrival in batch}, digests, since=since)
    suspects = [arrival for arrival in batch if _is_suspect(arrival, digests, cursors[arrival.key])]
    if not suspects:
        return Screened(cursors, batch, [])
    foreign = [found for found in find_foreign([a.delivery for a in suspects if a.delivery]) if not found.same_event]
    refused = [found for found in foreign if not found.edited and not found.explained]
    note_foreign(refused)
    return Screened(cursors, _replace(batch, foreign), refused)


def _is_suspect(arrival: Arrival, digests: Mapping[Key, str], cursor: LockedCursor) -> bool:
    """Return whether `arrival` differs from its row. A repeated event whose row is pruned is a usual duplicate."""
    digest = digests.get(arrival.key)
    return digest is not None and digest != cursor.digest and arrival.sequence > min(cursor.last, cursor.floor)


def _replace(batch: Sequence[Arrival], foreign: Sequence[Foreign]) -> list[Arrival]:
    """Return `batch` without the `foreign` records, and with the row of each edited one, in the same order."""
    kept: dict[Key, Arrival | None] = {arrival.key: arrival for arrival in batch}
    for found in foreign:
        row = found.event if found.edited else None
        kept[found.key] = read_arrival(found.key, found.delivery.sequence, *row[1:]) if row else None
    return [arrival for arrival in kept.values() if arrival]
