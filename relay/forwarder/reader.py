"""The reader returns every unpublished row, late commits included, without scanning old rows again.

All rows up to the position `clean` have been read: each is published, or is in the forwarder's buffer, or belongs to a
paused partition queue, or waits behind a refused row of its key.

Each read is one snapshot of all rows above `clean`. An earlier read may have missed a row that was not committed. The
row is then found together with the next event of its key or before it, because the publisher of that event had to wait
for the commit of the row.

`clean` rises at most to the stable position: no transaction that can still add a row below it is running.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from relay.arrays import to_array
from relay.database import connection
from relay.partitions import read_transactions

READ_ROWS = 2000
READ_BYTES = 16 * 1024 * 1024
# Positions beyond the last read that one statement scans at most, so that its duration is limited.
SPAN = 100_000
STABLE_SECONDS = 0.25
# Pause between two reads. It is doubled after a read of fewer than FEW_ROWS rows, and otherwise halved.
READ_SECONDS = 0.005
LONGEST_READ_SECONDS = 0.025
FEW_ROWS = 10
# Pauses after a second without rows.
IDLE_READ_SECONDS = 0.2
IDLE_STABLE_SECONDS = 1.0

_READ = """
select position, key_hash, topic, key, sequence::text, event_id::text, type,
       to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
       traceparent, body, extract(epoch from created_at)::float8
from (select *, sum(octet_length(body)) over (order by position rows unbounded preceding) - octet_length(body) as before
      from relay_outbox
      where position > %(clean)s and position <= %(end)s and published_at is null and key_hash %% 16 = any(%(shards)s)
            {conditions}
      order by position limit %(rows)s) row
where before < %(bytes)s order by position
"""


class Row(NamedTuple):
    """An unpublished row of the outbox. Texts are UTF-8 bytes, as on the wire; `created_at` is a Unix time."""

    position: int
    key_hash: int
    topic: bytes
    key: bytes
    sequence: bytes
    event_id: bytes
    type: bytes
    occurred_at: bytes
    traceparent: bytes
    body: bytes
    created_at: float


class Stalled(NamedTuple):
    """A partition whose rows are not read during a pause; its topic has `partitions` partitions."""

    topic: bytes
    partition: int
    partitions: int


class Reader:
    """Reading progress in the outbox, which starts at the position `clean`."""

    def __init__(self, clean: int = 0) -> None:
        self.clean = self._looked = clean
        self._last = 0
        self._stable = 0
        self._candidate = (0, 0)
        self._stable_at = self._read_at = self._busy_until = 0.0
        self._pause = READ_SECONDS

    @property
    def last(self) -> int:
        """The last assigned position, at most a second old, or 0 before the first read."""
        return self._last

    @property
    def is_due(self) -> bool:
        """Whether the next read is due."""
        return time.monotonic() >= self._read_at

    @property
    def seconds_left(self) -> float:
        """Seconds until the next read, at least READ_SECONDS."""
        return max(READ_SECONDS, self._read_at - time.monotonic())

    def rewind(self, position: int) -> None:
        """Read all rows above `position` again, except the rows passed to :meth:`read` as `held`."""
        if position < self.clean:
            self.clean = self._looked = position

    def read(
        self,
        shards: Sequence[int],
        held: Collection[int] = (),
        stalled: Sequence[Stalled] = (),
        refused: Iterable[tuple[bytes, bytes]] = (),
    ) -> tuple[list[Row], bool]:
        """Return the next rows of `shards` in the order of their positions, and whether there may be more.

        Returns at most READ_ROWS rows. Their bodies may exceed READ_BYTES by a few rows.

        :param held: positions in the buffer, which are not read again.
        :param stalled: partitions whose rows are not read.
        :param refused: (topic, key) of rows that Kafka refused; no row of these keys is read.
        """
        began = time.monotonic()
        self._update_stable()
        end = max(self.clean, self._looked) + SPAN
        values = {"clean": self.clean, "end": end, "shards": list(shards), "rows": READ_ROWS, "bytes": READ_BYTES}
        held = [position for position in held if position > self.clean]
        rows = _query(*_leave_out(held, stalled, list(refused), values))
        cut = len(rows) == READ_ROWS or sum(len(row.body) for row in rows) >= READ_BYTES
        reached = rows[-1].position if cut else end
        self._looked = max(self._looked, min(reached, self._last))
        self.clean = max(self.clean, min(reached, self._stable))
        more = cut or end < self._last
        self._pace(began, len(rows), more=more)
        return rows, more

    def _pace(self, began: float, found: int, *, more: bool) -> None:
        """Set the time of the next read: soon while many rows arrive, later while few arrive."""
        if found:
            self._busy_until = began + 1.0
            self._stable_at = min(self._stable_at, began + STABLE_SECONDS)
        self._pause = min(LONGEST_READ_SECONDS, max(READ_SECONDS, self._pause * (2.0 if found < FEW_ROWS else 0.5)))
        # Reads take at most a third of the time, even if an old transaction makes each read scan more rows.
        every = max(self._pause if began < self._busy_until else IDLE_READ_SECONDS, 3 * (time.monotonic() - began))
        self._read_at = 0.0 if more else began + every

    def _update_stable(self) -> None:
        """Update the stable position: the position below which every transaction has ended."""
        if time.monotonic() < self._stable_at:
            return
        is_quiet = self._stable == self._last and time.monotonic() >= self._busy_until
        self._stable_at = time.monotonic() + (IDLE_STABLE_SECONDS if is_quiet else STABLE_SECONDS)
        self._last, number, oldest = read_transactions()
        position, waits_for = self._candidate
        if oldest >= waits_for:
            self._stable = max(self._stable, position)
            self._candidate = (self._last, number)


def prefer_position_index() -> None:
    """Make the planner of this connection use the index on the position, with one cached plan.

    Without statistics of a partition that fills quickly, the planner would read and sort the whole partition for each
    batch. Planning takes longer than a read; the cached plan prunes partitions when it is executed.
    """
    if getattr(connection.connection, "prefers_position_index", False):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off;"
            " set plan_cache_mode = force_generic_plan"
        )
    connection.connection.prefers_position_index = True


def _leave_out(
    held: Sequence[int], stalled: Sequence[Stalled], refused: Sequence[tuple[bytes, bytes]], values: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the statement and its values, with conditions that exclude held rows, stalled partitions, refused keys."""
    conditions = []
    if held:
        values["held"] = held
        # In a generic plan PostgreSQL hashes a subquery, but not an array.
        conditions.append("and position not in (select unnest(%(held)s::bigint[]))")
    for n, (topic, partition, partitions) in enumerate(stalled):
        values |= {f"topic{n}": topic.decode(), f"count{n}": partitions, f"partition{n}": partition}
        conditions.append(f"and not (topic = %(topic{n})s and key_hash %% %(count{n})s = %(partition{n})s)")
    if refused:
        values["refused_topics"] = to_array(topic.decode() for topic, _ in refused)
        values["refused_keys"] = to_array(key.decode() for _, key in refused)
        conditions.append(
            "and (topic, key) not in (select * from unnest(%(refused_topics)s::text[], %(refused_keys)s::text[]))"
        )
    return _READ.format(conditions=" ".join(conditions)), values


def _query(statement: str, values: dict[str, Any]) -> list[Row]:
    prefer_position_index()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        # Keep texts as bytes: decoding and encoding them would cost more than all other work here.
        cursor.adapters.register_loader("text", ByteaBinaryLoader)
        return list(map(Row._make, cursor.execute(statement, values, binary=True, prepare=True).fetchall()))
