"""The tables of the second process of a rebuild. They are added to the other generation at the end.

Two processes that add to the same minutes and hours would wait for each other in every transaction. The second process
therefore writes counts, activity and visits to tables of its own. Tables with a row per order or SKU are views of the
tables of the other generation: the processes have different keys, so they never write the same row.
"""
# ruff: noqa: S608 - our own names

from datetime import date, datetime

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.facts.days import name_partition, prepare_days
from analytics.generation import BY_DAY, TABLES, list_partitions

SCHEMA = "analytics_aside"
_VIEWS = ("order_fact", "order_line_fact", "sold_out", "day_seal")
#: The keys of tables whose other columns are added.
_COUNTS = {"minute": ("minute", "kind", "currency"), "product_hour": ("hour", "sku", "currency")}
_COLUMNS = """
select attname from pg_attribute
where attrelid = %s::regclass and attnum > 0 and not attisdropped and not attname = any(%s) order by attnum
"""


def create_aside(schema: str) -> None:
    """Create the tables of the second process for the generation in `schema`."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"create schema {SCHEMA}")
        for name, table in TABLES.items():
            if name in _VIEWS:
                cursor.execute(f"create view {SCHEMA}.{table} as select * from {schema}.{table}")
                continue
            by_day = f"partition by range ({BY_DAY[name]})" if name in BY_DAY else ""
            cursor.execute(f"create table {SCHEMA}.{table} (like {schema}.{table} including all) {by_day}")


def exists() -> bool:
    """Return whether the tables exist."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_namespace where nspname = %s)", [SCHEMA])
        return bool(cursor.fetchone()[0])


def drop_aside() -> None:
    """Drop the tables with their rows, if they exist."""
    with connection.cursor() as cursor:
        cursor.execute(f"drop schema if exists {SCHEMA} cascade")


def add_aside(schema: str) -> None:
    """Add the rows of the tables to the generation in `schema`, and drop them. Do nothing if they do not exist.

    Each day moves in a transaction, then all other rows in one. An interruption between transactions loses nothing.
    """
    if not exists():
        return
    with connection.cursor() as cursor:
        days = _list_days(cursor)
    for name, day in days:
        with transaction.atomic(), connection.cursor() as cursor:
            _move_day(cursor, schema, name, day)
    with transaction.atomic(), connection.cursor() as cursor:
        # The second process of a killed rebuild may still run for a moment. It can't write after this lock.
        names = ", ".join(f"{SCHEMA}.{table}" for name, table in TABLES.items() if name not in _VIEWS)
        cursor.execute(f"set local statement_timeout = '10min'; lock table {names} in access exclusive mode")
        for name, day in _list_days(cursor):
            _move_day(cursor, schema, name, day)
        for name in _COUNTS:
            _add_counts(cursor, schema, name)
        touched = TABLES["touched"]
        cursor.execute(f"insert into {schema}.{touched} (visitor, day) select visitor, day from {SCHEMA}.{touched}")
        cursor.execute(f"drop schema {SCHEMA} cascade")


def _list_days(cursor: CursorWrapper) -> list[tuple[str, date]]:
    """Return the tables with partitions, each with its days."""
    return [
        (name, datetime.strptime(partition[-8:], "%Y%m%d").date())  # noqa: DTZ007 - a day has no time zone
        for name in BY_DAY
        for partition in list_partitions(cursor, SCHEMA, TABLES[name])
    ]


def _move_day(cursor: CursorWrapper, schema: str, name: str, day: date) -> None:
    table, partition = TABLES[name], f"{SCHEMA}.{name_partition(TABLES[name], day)}"
    cursor.execute(f"set local statement_timeout = '10min'; lock table {partition} in access exclusive mode")
    prepare_days(cursor, schema, table, [day])
    cursor.execute(f"insert into {schema}.{table} select * from {partition}; drop table {partition}")


def _add_counts(cursor: CursorWrapper, schema: str, name: str) -> None:
    table, keys = TABLES[name], ", ".join(_COUNTS[name])
    cursor.execute(_COLUMNS, [f"{schema}.{table}", list(_COUNTS[name])])
    added = ", ".join(f"{column} = f.{column} + excluded.{column}" for (column,) in cursor.fetchall())
    cursor.execute(
        f"insert into {schema}.{table} as f select * from {SCHEMA}.{table} order by {keys}"
        f" on conflict ({keys}) do update set {added}"
    )
