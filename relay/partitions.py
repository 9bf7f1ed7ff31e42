"""The partitions of relay_outbox. They are created ahead of the position, so that publishing never lacks one.

Publishers and relays wait at most LOCK_MILLISECONDS for these changes; a change that can't get its lock is retried.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from django.db import OperationalError

from relay.conf import configuration
from relay.database import connection, transaction
from relay.models import SHARDS

DEFAULT = "relay_outbox_default"
# Free space in each page, so that marking a row as published is a HOT update, which changes no index.
ROOM = "with (fillfactor = 50)"
# Number of empty partitions after the current one.
AHEAD = 5
LOCK_MILLISECONDS = 50
ATTEMPTS = 20
PAUSE_SECONDS = 0.5

# Read the sequence before the transaction gets its id. Transactions that took an earlier position then have a lower id.
_TRANSACTIONS = """
with sequence as materialized (select case when is_called then last_value else 0 end as last from
                               relay_outbox_position_seq)
select last, pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint from sequence
"""

# An arbitrary number of an advisory lock, that no other lock of the database uses. A process holds it while it creates
# partitions: two of them would both change the default partition.
_CREATING = 7_262_179_002

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """A table that holds the positions [first, end)."""

    name: str
    first: int
    end: int


def list_partitions() -> list[Partition]:
    """Return all partitions except the default one, in the order of their positions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname, pg_get_expr(c.relpartbound, c.oid)"
            " from pg_inherits i join pg_class c on c.oid = inhrelid"
            " where inhparent = 'relay_outbox'::regclass and c.relname <> %s",
            [DEFAULT],
        )
        rows = cursor.fetchall()
    return sorted((Partition(name, *read_bounds(bounds)) for name, bounds in rows), key=lambda one: one.first)


def read_bounds(bounds: str) -> tuple[int, int]:
    """Return the (first, end) of a range that PostgreSQL shows, for example FOR VALUES FROM ('0') TO ('1000000')."""
    first, end = re.findall(r"\('?(\d+)'?\)", bounds)
    return int(first), int(end)


def read_position() -> int:
    """Return the last assigned position, including positions in open transactions."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(pg_sequence_last_value(pg_get_serial_sequence('relay_outbox', 'position')), 0)")
        return int(cursor.fetchone()[0])


def read_transactions() -> tuple[int, int, int]:
    """Return the last assigned position, the id of this transaction, and the id of the oldest running transaction.

    Once the oldest running transaction is at least as new as the returned id, no transaction can add a row at or below
    the returned position: it is stable.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TRANSACTIONS)
        position, number, oldest = cursor.fetchone()
    return position, number, oldest


def ensure_partitions() -> list[Partition]:
    """Create missing partitions, so that AHEAD of them follow the last position. Return the created ones.

    Does nothing while another process creates partitions.

    :raises OperationalError: the table was locked during all ATTEMPTS. Retrying later is safe.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [_CREATING])
        if not cursor.fetchone()[0]:
            return []
        try:
            return _create_missing(configuration().partition_rows)
        finally:
            cursor.execute("select pg_advisory_unlock(%s)", [_CREATING])


def _create_missing(size: int) -> list[Partition]:
    made = []
    if not is_default_empty():
        made.append(retry_while_busy(partial(keep_default_as_partition, size)))
    end = max((one.end for one in list_partitions()), default=0)
    while end <= (position := read_position()) + AHEAD * size:
        # If the position has jumped, for example by setval(), a single partition covers the unused positions.
        after = max(end + size, position // size * size)
        partition = Partition(f"relay_outbox_from_{end}", end, after)
        retry_while_busy(partial(attach, partition))
        made.append(partition)
        end = partition.end
    return made


def is_default_empty() -> bool:
    """Return whether the default partition is empty: every row had a partition for its position."""
    with connection.cursor() as cursor:
        cursor.execute(f"select not exists (select from {DEFAULT})")  # noqa: S608 - our own name
        return bool(cursor.fetchone()[0])


def attach(partition: Partition) -> None:
    """Create `partition` as a table, then attach it. This locks only the default partition, not the whole table."""
    with brief_locks() as run:
        run(f"create table {partition.name} (like relay_outbox including all excluding identity) {ROOM}")
        run(
            f"alter table relay_outbox attach partition {partition.name}"
            f" for values from ({partition.first}) to ({partition.end})"
        )


def keep_default_as_partition(size: int) -> Partition:
    """Turn the default partition, which contains rows, into a partition with a range, and create a new default.

    No row is copied: a validated check constraint proves to PostgreSQL that all rows are in the range.
    """
    first = max((one.end for one in list_partitions()), default=0)
    end = (read_position() // size + 2) * size
    partition = Partition(f"relay_outbox_from_{first}", first, end)
    with brief_locks() as run:
        run(f"alter table {DEFAULT} drop constraint if exists relay_outbox_range")
        run(
            f"alter table {DEFAULT} add constraint relay_outbox_range"
            f" check (position >= {first} and position < {end}) not valid"
        )
    with connection.cursor() as cursor:
        cursor.execute(f"alter table {DEFAULT} validate constraint relay_outbox_range")
    with brief_locks() as run:
        run(f"alter table relay_outbox detach partition {DEFAULT}")
        run(f"alter table {DEFAULT} rename to {partition.name}")
        run(f"alter table relay_outbox attach partition {partition.name} for values from ({first}) to ({end})")
        run(f"alter table {partition.name} drop constraint relay_outbox_range")
        run(f"create table {DEFAULT} partition of relay_outbox default {ROOM}")
    return partition


def wait_for_writers(partition: Partition) -> None:
    """Wait until every transaction that has written to `partition` has ended.

    A partition that receives no new positions does not change after that.
    """

    def blink() -> None:
        with brief_locks() as run:
            run(f"lock table {partition.name} in share mode")

    retry_while_busy(blink)


def drop_partition(partition: Partition) -> None:
    """Drop `partition` with its rows. This locks relay_outbox for a moment.

    :raises OperationalError: the table was locked during all ATTEMPTS. Retrying later is safe.
    """

    def drop() -> None:
        with brief_locks() as run:
            run(f"drop table {partition.name}")

    retry_while_busy(drop)


def retry_while_busy(work: Callable[[], T]) -> T:
    """Call `work` and return its result. After an OperationalError retry, up to ATTEMPTS times.

    :raises OperationalError: all attempts failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except OperationalError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError


@contextmanager
def brief_locks() -> Iterator[Callable[[str], None]]:
    """Run the block in a transaction that waits at most LOCK_MILLISECONDS for a lock, since others queue behind it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"set local lock_timeout = {LOCK_MILLISECONDS}")
        yield cursor.execute


def read_low_watermark() -> int:
    """Return the low watermark: all rows up to this position are published or wait behind a refused row.

    Queries for unpublished rows need it, because no index separates published rows from unpublished ones.
    """
    with connection.cursor() as cursor:
        cursor.execute("select min(low_mark), count(*) from relay_shardlease")
        watermark, count = cursor.fetchone()
    return int(watermark) if count == SHARDS else 0
