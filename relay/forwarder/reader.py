"""Reads every unpublished row once, those that commit late too, without ever reading an old one again.

All rows up to `clean` have been seen: either they are published, or the forwarder holds them, or their partition
stalls, or their key waits behind a refused row. Each read is one snapshot of everything above `clean`. A row with a low
position that an earlier read missed is therefore found no later than what follows it in its key, whose publisher waited
for its commit. `clean` only rises to what had been settled before the read began: no transaction that could still add a
row below it was under way any more.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from relay.arrays import to_array
from relay.database import connection

READ_ROWS = 2000
READ_BYTES = 16 * 1024 * 1024
# One statement looks at no more positions than these beyond what was read, so that it ends in time on any table.
SPAN = 100_000
SETTLE_SECONDS = 0.25
# Between two reads. The pause is doubled after a read that found fewer rows than FEW_ROWS, and halved after another.
READ_SECONDS = 0.005
LONGEST_READ_SECONDS = 0.025
FEW_ROWS = 10
# While no rows come for a second.
IDLE_READ_SECONDS = 0.1
IDLE_SETTLE_SECONDS = 1.0

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
# The sequence is read before the transaction gets its number: whoever took one of those positions has a lower number.
_SETTLE = """
with sequence as materialized (select case when is_called then last_value else 0 end as last from
                               relay_outbox_position_seq)
select last, pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint from sequence
"""


class Row(NamedTuple):
    """An unpublished row of the outbox; texts are UTF-8 as they go over the wire, `created_at` is a Unix time."""

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
    """A partition whose rows are not read for now: one of `partitions` of its topic."""

    topic: bytes
    partition: int
    partitions: int


class Reader:
    """Knows how far the outbox has been read: at first to its position `clean`."""

    def __init__(self, clean: int = 0) -> None:
        self.clean = self._looked = clean
        self._last = 0
        self._settled = 0
        self._candidate = (0, 0)
        self._settle_at = self._read_at = self._busy_until = 0.0
        self._pause = READ_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether a read may find something new."""
        return time.monotonic() >= self._read_at

    @property
    def seconds_left(self) -> float:
        """Seconds until the next read, at least READ_SECONDS."""
        return max(READ_SECONDS, self._read_at - time.monotonic())

    def rewind(self, position: int) -> None:
        """Read everything above `position` again, except what is held."""
        if position < self.clean:
            self.clean = self._looked = position

    def read(
        self,
        shards: Sequence[int],
        held: Collection[int] = (),
        stalled: Sequence[Stalled] = (),
        refused: Iterable[tuple[bytes, bytes]] = (),
    ) -> tuple[list[Row], bool]:
        """Return the next rows of `shards` that are not `held`, by position, and whether there may be more.

        At most READ_ROWS, and little more than READ_BYTES of bodies; none of the `refused` keys (topic, key).
        """
        began = time.monotonic()
        self._settle()
        end = max(self.clean, self._looked) + SPAN
        values = {"clean": self.clean, "end": end, "shards": list(shards), "rows": READ_ROWS, "bytes": READ_BYTES}
        held = [position for position in held if position > self.clean]
        rows = _query(*_leave_out(held, stalled, list(refused), values))
        cut = len(rows) == READ_ROWS or sum(len(row.body) for row in rows) >= READ_BYTES
        reached = rows[-1].position if cut else end
        self._looked = max(self._looked, min(reached, self._last))
        self.clean = max(self.clean, min(reached, self._settled))
        more = cut or end < self._last
        self._pace(began, len(rows), more=more)
        return rows, more

    def _pace(self, began: float, found: int, *, more: bool) -> None:
        """Choose when to read again: soon while many rows come, so that none waits long and no read finds too few."""
        if found:
            self._busy_until = began + 1.0
            self._settle_at = min(self._settle_at, began + SETTLE_SECONDS)
        self._pause = min(LONGEST_READ_SECONDS, max(READ_SECONDS, self._pause * (2.0 if found < FEW_ROWS else 0.5)))
        # At most a third of the time: an old transaction makes each read look at more rows.
        every = max(self._pause if began < self._busy_until else IDLE_READ_SECONDS, 3 * (time.monotonic() - began))
        self._read_at = 0.0 if more else began + every

    def _settle(self) -> None:
        """Learn up to which position every transaction has ended."""
        if time.monotonic() < self._settle_at:
            return
        is_quiet = self._settled == self._last and time.monotonic() >= self._busy_until
        self._settle_at = time.monotonic() + (IDLE_SETTLE_SECONDS if is_quiet else SETTLE_SECONDS)
        with connection.cursor() as cursor:
            cursor.execute(_SETTLE)
            self._last, number, oldest = cursor.fetchone()
        position, waits_for = self._candidate
        if oldest >= waits_for:
            self._settled = max(self._settled, position)
            self._candidate = (self._last, number)


def walk_by_position() -> None:
    """Keep this connection's planner to the index on the position.

    Without statistics of a partition that fills quickly it reads and sorts all of it for each batch. Planning a
    read takes longer than the read, so the plan is made once: partitions are left out when it is run.
    """
    if getattr(connection.connection, "walks_by_position", False):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off;"
            " set plan_cache_mode = force_generic_plan"
        )
    connection.connection.walks_by_position = True


def _leave_out(
    held: Sequence[int], stalled: Sequence[Stalled], refused: Sequence[tuple[bytes, bytes]], values: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return the statement and its values that read no rows that are held, of stalled partitions or refused keys."""
    conditions = []
    if held:
        values["held"] = held
        # PostgreSQL hashes an array only if it plans for its very values. This plan is kept, and hashes a subquery.
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
    walk_by_position()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        # Bodies go from PostgreSQL to Kafka as they are: decoding and encoding them costs more than all else here.
        cursor.adapters.register_loader("text", ByteaBinaryLoader)
        return list(map(Row._make, cursor.execute(statement, values, binary=True, prepare=True).fetchall()))
