"""The partitions of relay_outbox: made far ahead of the position, because selling would stop without one.

Neither selling nor the relay waits for this longer than LOCK_MILLISECONDS: what is busy is tried again a moment later.
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
# Marking a row as published then changes no index: it finds room in its page.
ROOM = "with (fillfactor = 50)"
# Partitions that are there beyond the one which is being filled.
AHEAD = 5
LOCK_MILLISECONDS = 50
ATTEMPTS = 20
PAUSE_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Partition:
    """A table that holds the positions from `first` to `end` - 1."""

    name: str
    first: int
    end: int


def list_partitions() -> list[Partition]:
    """Every partition but the default one, in the order of the positions."""
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
    """Read what PostgreSQL writes of a range, for example FOR VALUES FROM ('0') TO ('1000000')."""
    first, end = re.findall(r"\('?(\d+)'?\)", bounds)
    return int(first), int(end)


def read_position() -> int:
    """Return the last position that was given out, also in transactions that are still open."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(pg_sequence_last_value(pg_get_serial_sequence('relay_outbox', 'position')), 0)")
        return int(cursor.fetchone()[0])


def ensure_partitions() -> list[Partition]:
    """Make what is missing so that AHEAD partitions lie beyond the last position; return what was made.

    :raises OperationalError: the table was busy throughout; trying later is safe.
    """
    size = configuration().partition_rows
    made = []
    if not is_default_empty():
        made.append(retry_while_busy(partial(keep_default_as_partition, size)))
    end = max((one.end for one in list_partitions()), default=0)
    while end <= read_position() + AHEAD * size:
        partition = Partition(f"relay_outbox_from_{end}", end, end + size)
        retry_while_busy(partial(attach, partition))
        made.append(partition)
        end = partition.end
    return made


def is_default_empty() -> bool:
    """Tell whether every row had a partition to go to."""
    with connection.cursor() as cursor:
        cursor.execute(f"select not exists (select from {DEFAULT})")  # noqa: S608 - our own name
        return bool(cursor.fetchone()[0])


def attach(partition: Partition) -> None:
    """Make a partition. Attaching locks the default one only, where nobody writes; creating it in place locks all."""
    with brief_locks() as run:
        run(f"create table {partition.name} (like relay_outbox including all excluding identity) {ROOM}")
        run(
            f"alter table relay_outbox attach partition {partition.name}"
            f" for values from ({partition.first}) to ({partition.end})"
        )


def keep_default_as_partition(size: int) -> Partition:
    """Turn the default partition, into which rows have fallen, into one of its own with a range; make a new default.

    Nothing is copied: a valid check tells PostgreSQL in advance that the rows lie in the range.
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
    """Wait until no transaction that has written into the partition is open: one that no position leads to any more
    then stays as it is.
    """

    def blink() -> None:
        with brief_locks() as run:
            run(f"lock table {partition.name} in share mode")

    retry_while_busy(blink)


def drop_partition(partition: Partition) -> None:
    """Drop a partition with its rows. It holds all of relay_outbox for the instant that this takes.

    :raises OperationalError: the table was busy throughout; trying later is safe.
    """

    def drop() -> None:
        with brief_locks() as run:
            run(f"drop table {partition.name}")

    retry_while_busy(drop)


def retry_while_busy(work: Callable[[], T]) -> T:
    """Do `work`, again after a moment as long as another transaction holds what it has to lock.

    :raises OperationalError: it failed every time.
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
    """A transaction that waits for no lock longer than LOCK_MILLISECONDS: others wait behind it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"set local lock_timeout = {LOCK_MILLISECONDS}")
        yield cursor.execute


def read_low_mark() -> int:
    """Return the position up to which everything is published or waits behind a refused row.

    A query for unpublished rows without it reads every published row too: no index knows which are which.
    """
    with connection.cursor() as cursor:
        cursor.execute("select min(low_mark), count(*) from relay_shardlease")
        mark, count = cursor.fetchone()
    return int(mark) if count == SHARDS else 0
