"""The marker sets acknowledged rows to published, and refused rows to refused, if the leases of the rows still hold.

A thread with its own database connection marks large numbers of rows, while the relay reads and sends.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from relay.arrays import to_array
from relay.conf import configuration
from relay.database import connection
from relay.forwarder.lease import LeaseLost, ShardLeases
from relay.forwarder.reader import Row
from relay.models import SHARDS
from relay.process.failpoint import failpoint

# From this number of rows, use the thread.
MARK_ROWS = 1000

# Lock the rows of the leases until the commit, so that no other relay can take over between the check and the update.
# The order of the locks is the order of the shards, as in every statement that locks leases.
_IF_HELD = """
with held as (select from relay_shardlease where owner = %(owner)s and (shard, epoch) in
              (select * from unnest(%(shards)s::smallint[], %(epochs)s::bigint[])) order by shard for share)
update relay_outbox set {change}
where position = any(%(positions)s::bigint[]) and position between %(first)s and %(last)s
      and (select count(*) from held) = %(count)s
"""
_MARK = _IF_HELD.format(change="published_at = clock_timestamp()")
_REFUSE = _IF_HELD.format(change="refused_reason = %(reason)s")


class Marker:
    """A queue of acknowledged rows, which returns the rows after it has marked them.

    Methods that mark rows raise :class:`LeaseLost`, and mark no row, unless every shard of the rows is still held in
    the same epoch.
    """

    def __init__(self, leases: ShardLeases) -> None:
        self._leases = leases
        self._acknowledged: list[Row] = []
        self._due_at = 0.0
        self._marking: list[Row] = []
        self._pool: ThreadPoolExecutor | None = None
        self._work: Future[None] | None = None

    def add(self, rows: Sequence[Row]) -> None:
        """Add acknowledged `rows`. They become due after RELAY["PACE_MS"], or earlier if there are MARK_ROWS."""
        if not self._acknowledged:
            self._due_at = time.monotonic() + configuration().pace_ms / 1000
        self._acknowledged += rows

    def mark_due(self) -> list[Row]:
        """Mark the due rows, unless the thread is busy. Return the rows whose marking has completed."""
        marked = self._finish() if self._work and self._work.done() else []
        if self._work is None and len(self._acknowledged) >= MARK_ROWS:
            self._take()
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="marker")
            self._work = self._pool.submit(self._work_on_thread)
        elif self._work is None and self._acknowledged and time.monotonic() >= self._due_at:
            marked += self.mark_all()
        return marked

    def mark_all(self) -> list[Row]:
        """Wait for the thread, mark all remaining rows, and return the rows that were marked."""
        marked = self._finish() if self._work else []
        if self._acknowledged:
            self._take()
            self._write(_MARK, self._marking)
            marked += self._give_back()
        return marked

    def refuse(self, row: Row, reason: str) -> None:
        """Store `reason` in a row that Kafka refuses. Later rows of its key then wait; other keys continue."""
        self._write(_REFUSE, [row], reason=reason)

    def forget(self) -> None:
        """Forget all rows. Wait for the thread to finish, and close its connection."""
        if self._pool:
            self._pool.submit(_close_connection)
            self._pool.shutdown()
        self._pool = self._work = None
        self._acknowledged, self._marking = [], []

    def _take(self) -> None:
        failpoint("relay.sent")
        self._marking, self._acknowledged = self._acknowledged, []

    def _give_back(self) -> list[Row]:
        failpoint("relay.marked")
        marked, self._marking = self._marking, []
        return marked

    def _finish(self) -> list[Row]:
        assert self._work
        work, self._work = self._work, None
        work.result()
        return self._give_back()

    def _work_on_thread(self) -> None:
        try:
            self._write(_MARK, self._marking)
        except BaseException:
            _close_connection()  # it may be dead
            raise

    def _write(self, statement: str, rows: Sequence[Row], **values: Any) -> None:
        shards = sorted({row.key_hash % SHARDS for row in rows})
        epochs = [self._leases.epochs.get(shard, -1) for shard in shards]
        positions = sorted(row.position for row in rows)
        values |= {"positions": to_array(positions), "first": positions[0], "last": positions[-1]}
        values |= {"owner": self._leases.owner, "shards": shards, "epochs": epochs, "count": len(shards)}
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            if cursor.rowcount == 0:
                raise LeaseLost(f"{self._leases.owner} no longer holds all of the shards {shards}")


def _close_connection() -> None:
    connection.close()  # the connection of the current thread
