"""The generation of the facts: the schema of PostgreSQL that has the tables, and the name of the cursors that guard it.

All readers use `reading()`, so that a switch to another generation changes one row. The consumer "analytics" writes the
current generation. A second generation is filled next to it, with the cursors "analytics_next".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

#: Tables of each generation, by the name that checksums and seals use.
TABLES = {
    "order_fact": "analytics_orderfact",
    "order_line_fact": "analytics_orderlinefact",
    "order_day": "analytics_orderday",
    "duration_day": "analytics_durationday",
    "minute_day": "analytics_minuteday",
    "product_day": "analytics_productday",
    "activity": "analytics_activity",
    "minute": "analytics_minute",
    "product_hour": "analytics_producthour",
    "session": "analytics_session",
    "session_day": "analytics_sessionday",
    "sold_out": "analytics_soldout",
    "arrival": "analytics_arrival",
    "day_seal": "analytics_dayseal",
    "touched": "analytics_touched",
}
#: Tables with sums of finished days. `analytics.sums` stores them.
SUM_TABLES = ("order_day", "duration_day", "minute_day", "product_day")
#: Tables with a partition per day, and the column that decides.
BY_DAY = {"activity": "at", "session": "day"}
#: The names of the cursors: of the consumer, which writes the current generation, and of the other generation.
CONSUMER, NEXT = "analytics", "analytics_next"
#: The schemas. A shop has one generation, or two while one is built or kept.
SCHEMAS = ("public", "analytics_second")
# An arbitrary number of an advisory lock: shared for a transaction of the consumer, exclusive for a switch. The
# function analytics_share_current (migration 0022) takes it, too.
_SWITCHING = 7_262_179_020
_CURRENT = "select schema from public.analytics_generationchoice"
# Readers of a period read whole days, while the web's other statements look up single rows by a key. A larger memory
# keeps the groups and percentiles of 300,000 orders from the disk.
_BEGIN_READING = f"""
select ({_CURRENT}), set_config('enable_seqscan', 'on', true), set_config('work_mem', '16MB', true)
"""


@dataclass(frozen=True, slots=True)
class Generation:
    """The name of the cursors, and the schema with the tables.

    `home` is the schema with the partitions of BY_DAY, if these tables are views in `schema`.
    """

    consumer: str
    schema: str
    home: str = ""


#: The generation that migrations create, in the schema whose tables migrations change.
FIRST = Generation(CONSUMER, SCHEMAS[0])
#: The tables that Flink computes, if ANALYTICS=flink. They are no generation that takes turns, and have no cursors.
FLINK = Generation("analytics_flink", "analytics_flink")
FLINK_TABLES = (
    *("order_fact", "order_line_fact", "activity", "minute", "product_hour", "session", "session_day", "sold_out"),
    *(*SUM_TABLES, "touched"),
)


def current() -> Generation:
    """Return the generation that pages read."""
    with connection.cursor() as cursor:
        cursor.execute(_CURRENT)
        row = cursor.fetchone()
    return Generation(CONSUMER, row[0]) if row else FIRST


def lock_current(cursor: CursorWrapper) -> None:
    """Wait for the transactions of the consumer that write the current generation, and let no other begin to write."""
    cursor.execute("select pg_advisory_xact_lock(%s)", [_SWITCHING])


@contextmanager
def reading(generation: Generation | None = None) -> Iterator[CursorWrapper]:
    """Yield a database cursor in a transaction. SQL and models of the block read the tables of `generation`.

    :param generation: default: the tables that settings.ANALYTICS_PAGES chooses: Flink's, or the current generation.
        The current generation has the tables that Flink does not compute.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BEGIN_READING)
        schema = generation.schema if generation else cursor.fetchone()[0] or FIRST.schema
        if generation is None and settings.ANALYTICS_PAGES == "flink":
            schema = f"{FLINK.schema}, {schema}"
        if schema != FIRST.schema:
            cursor.execute("select set_config('search_path', %s, true)", [f"{schema}, public"])
        yield cursor


def create_tables(generation: Generation) -> None:
    """Create the schema of `generation` with empty tables. They have the columns and indexes of the first one.

    The tables of the first generation always exist, so they are emptied.
    """
    if generation.schema == FIRST.schema:
        empty_tables(generation)
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"create schema {generation.schema}")
        for name, table in TABLES.items():
            by_day = f"partition by range ({BY_DAY[name]})" if name in BY_DAY else ""
            cursor.execute(f"create table {generation.schema}.{table} (like public.{table} including all) {by_day}")


def empty_tables(generation: Generation) -> None:
    """Delete all rows of `generation` at once, and drop the partitions of its days."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '5s'")
        cursor.execute(f"truncate {', '.join(f'{generation.schema}.{table}' for table in TABLES.values())}")
        for name in BY_DAY:
            for partition in list_partitions(cursor, generation.schema, TABLES[name]):
                cursor.execute(f"drop table {generation.schema}.{partition}")


def drop_tables(generation: Generation) -> None:
    """Drop the schema of `generation` with its tables. The tables of the first generation stay and become empty."""
    if generation.schema == FIRST.schema:
        empty_tables(generation)
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '5s'")
        cursor.execute(f"drop schema {generation.schema} cascade")


def list_partitions(cursor: CursorWrapper, schema: str, table: str) -> list[str]:
    """Return the names of the partitions of `table` in `schema`, sorted: the oldest day first."""
    cursor.execute(
        "select relname from pg_inherits join pg_class c on c.oid = inhrelid"
        " where inhparent = to_regclass(%s) order by relname",
        [f"{schema}.{table}"],
    )
    return [name for (name,) in cursor.fetchall()]
