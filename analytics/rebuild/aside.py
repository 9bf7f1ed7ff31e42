"""The counts of the second process of a rebuild. They are added to the other generation at the end.

Two processes that add to the same minutes and hours would wait for each other in every transaction. The second process
therefore counts in tables of its own. Tables with a row per order, SKU, activity or visit are views of the tables of
the other generation: the processes have different keys, so they never write the same row.
"""
# ruff: noqa: S608 - our own names

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.generation import TABLES

SCHEMA = "analytics_aside"
#: The tables that the second process has for itself; all others are views.
_TABLES = ("minute", "product_hour", "arrival", "touched")
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
            if name in _TABLES:
                cursor.execute(f"create table {SCHEMA}.{table} (like {schema}.{table} including all)")
            else:
                cursor.execute(f"create view {SCHEMA}.{table} as select * from {schema}.{table}")


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
    """Add the rows of the tables to the generation in `schema`, and drop them. Do nothing if they do not exist."""
    if not exists():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        # The second process of a killed rebuild may still run for a moment. It can't write after this lock.
        names = ", ".join(f"{SCHEMA}.{TABLES[name]}" for name in _TABLES)
        cursor.execute(f"set local statement_timeout = '10min'; lock table {names} in access exclusive mode")
        for name in _COUNTS:
            _add_counts(cursor, schema, name)
        touched = TABLES["touched"]
        cursor.execute(f"insert into {schema}.{touched} (visitor, day) select visitor, day from {SCHEMA}.{touched}")
        cursor.execute(f"drop schema {SCHEMA} cascade")


def _add_counts(cursor: CursorWrapper, schema: str, name: str) -> None:
    table, keys = TABLES[name], ", ".join(_COUNTS[name])
    cursor.execute(_COLUMNS, [f"{schema}.{table}", list(_COUNTS[name])])
    added = ", ".join(f"{column} = f.{column} + excluded.{column}" for (column,) in cursor.fetchall())
    cursor.execute(
        f"insert into {schema}.{table} as f select * from {SCHEMA}.{table} order by {keys}"
        f" on conflict ({keys}) do update set {added}"
    )
