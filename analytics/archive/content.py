"""Rows of the archive in temporary tables of the database, which computes their checksum as for all other tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.archive.files import Row, read_file
from analytics.checksum import use_utc
from analytics.facts.days import name_partition
from analytics.generation import TABLES

#: Temporary tables: the rows to archive, the rows of earlier parts, and the rows of the file that is read.
DAY, EARLIER, _FILE = "archive_day", "archive_earlier", "archive_file"
_COLUMNS = "event_id uuid, at timestamptz, visitor int, kind text, sku text, quantity int, amount bigint, currency text"
_CREATE = f"drop table if exists {{table}}; create temporary table {{table}} ({_COLUMNS})"
# The numbers of visitors are in a random order and are stored nowhere else.
_TAKE = f"""
drop table if exists {DAY};
create temporary table {DAY} as
with kept as materialized (
    select * from {{schema}}.{{partition}} a where not exists (select from {EARLIER} k where k.event_id = a.event_id)),
visitors as materialized (
    select visitor, row_number() over (order by gen_random_uuid())::int as number
    from (select distinct visitor from kept) different)
select event_id, at, number as visitor, kind, sku, quantity, amount, currency from kept join visitors using (visitor)
"""  # noqa: S608 - our own names
_SUM = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {table} t"


class Content(NamedTuple):
    """The number of rows and the sum of their hashes."""

    rows: int
    checksum: Decimal

    def __str__(self) -> str:
        return f"{self.rows} rows with the checksum {self.checksum}"


@contextmanager
def long_transaction() -> Iterator[CursorWrapper]:
    """Yield a cursor in a transaction for statements about a whole day, which see the database at one moment."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.savepoint_ids:  # inside another transaction the level can't be changed any more
            cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("set local statement_timeout = '10min'")
        use_utc(cursor)
        yield cursor


def sum_partition(cursor: CursorWrapper, schema: str, day: date) -> Content:
    """Return the content of the partition of `day` as seals compute it, with visitors and orders."""
    cursor.execute(_SUM.format(table=f"{schema}.{name_partition(TABLES['activity'], day)}"))
    return Content(*cursor.fetchone())


def sum_table(cursor: CursorWrapper, table: str) -> Content:
    """Return the content of a temporary table."""
    cursor.execute(_SUM.format(table=table))
    return Content(*cursor.fetchone())


def take_rows(cursor: CursorWrapper, schema: str, day: date) -> Content:
    """Fill the table DAY with the rows of the partition that are not in EARLIER, and return its content."""
    cursor.execute(_TAKE.format(schema=schema, partition=name_partition(TABLES["activity"], day)))
    return sum_table(cursor, DAY)


def list_rows() -> Iterator[Row]:
    """Yield the rows of the table DAY, sorted by time."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(f"select * from {DAY} order by at, event_id")  # noqa: S608 - our own names
        while chunk := cursor.fetchmany(5000):
            yield from chunk


def empty_table(table: str) -> None:
    """Create the temporary `table` without rows."""
    with connection.cursor() as cursor:
        cursor.execute(_CREATE.format(table=table))


def load_file(path: Path, *, into: str = "") -> Content:
    """Read the file `path` completely and return its content.

    :param into: a temporary table that receives the rows.

    :raises NotArchived: the file is missing or damaged.
    """
    with long_transaction() as cursor:
        cursor.execute(_CREATE.format(table=_FILE))
        with cursor.cursor.copy(f"copy {_FILE} from stdin") as copy:
            for chunk in read_file(path):
                for row in chunk:
                    copy.write_row(row)
        content = sum_table(cursor, _FILE)
        if into:
            cursor.execute(f"insert into {into} select * from {_FILE}")  # noqa: S608 - our own names
        cursor.execute(f"drop table {_FILE}")
    return content
