"""The generation of the facts: a consumer, and the schema of PostgreSQL that has its tables.

All readers use `reading()`, so that a switch to another generation changes this module only. A consumer with the same
handlers and another generation fills a second set of tables next to the current one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

#: Tables of each generation, by the name that checksums and seals use.
TABLES = {
    "order_fact": "analytics_orderfact",
    "order_line_fact": "analytics_orderlinefact",
    "activity": "analytics_activity",
    "minute": "analytics_minute",
    "product_hour": "analytics_producthour",
    "session": "analytics_session",
    "sold_out": "analytics_soldout",
    "arrival": "analytics_arrival",
    "day_seal": "analytics_dayseal",
    "touched": "analytics_touched",
}
#: Tables with a partition per day, and the column that decides.
BY_DAY = {"activity": "at", "session": "day"}


@dataclass(frozen=True, slots=True)
class Generation:
    """The name of the consumer, and the schema with its tables."""

    consumer: str
    schema: str


#: The generation that migrations create, filled by the consumer "analytics".
FIRST = Generation("analytics", "public")


def current() -> Generation:
    """Return the generation that pages read."""
    return FIRST


@contextmanager
def reading(generation: Generation | None = None) -> Iterator[CursorWrapper]:
    """Yield a database cursor in a transaction. SQL and models of the block read the tables of `generation`.

    :param generation: default: the current one.
    """
    schema = (generation or current()).schema
    with transaction.atomic(), connection.cursor() as cursor:
        if schema != FIRST.schema:
            cursor.execute("select set_config('search_path', %s, true)", [f"{schema}, public"])
        yield cursor


def create_tables(generation: Generation) -> None:
    """Create the schema of `generation` with empty tables. They have the columns and indexes of the first one."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"create schema {generation.schema}")
        for name, table in TABLES.items():
            by_day = f"partition by range ({BY_DAY[name]})" if name in BY_DAY else ""
            cursor.execute(f"create table {generation.schema}.{table} (like public.{table} including all) {by_day}")


def empty_tables(generation: Generation) -> None:
    """Delete all rows of `generation` in the open transaction."""
    with connection.cursor() as cursor:
        for table in TABLES.values():
            cursor.execute(f"delete from {generation.schema}.{table}")  # noqa: S608 - our own names


def drop_tables(generation: Generation) -> None:
    """Drop the schema of `generation` with its tables. The first generation stays."""
    if generation.schema == FIRST.schema:
        raise ValueError(f"the schema {FIRST.schema} belongs to the whole shop and can't be dropped")
    with connection.cursor() as cursor:
        cursor.execute(f"drop schema {generation.schema} cascade")
