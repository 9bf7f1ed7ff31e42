"""The schema of PostgreSQL that the job writes. Its tables have the columns of the consumer's tables."""

import hashlib
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from analytics.facts.days import find_oldest_day, name_partition
from analytics.generation import FLINK, FLINK_TABLES, TABLES, list_partitions
from analytics.models import FlinkJob

JOB = Path(__file__).with_name("job.sql")
# Flink writes rows and can't create partitions. Its upsert of an activity needs a unique index. A new activity marks
# its visitor in the same transaction; an activity that Flink repeats after a failure only updates its row.
_ACTIVITY = """
create unique index on {schema}.analytics_activity (event_id);
create function {schema}.touch() returns trigger language plpgsql as $$ begin
    insert into {schema}.analytics_touched (visitor, day)
    select distinct visitor, (at at time zone 'UTC')::date from added;
    return null;
end $$;
create trigger touch after insert on {schema}.analytics_activity
    referencing new table as added for each statement execute function {schema}.touch()
"""
_COLUMNS = """
select table_name, column_name, data_type from information_schema.columns
where table_schema = 'public' and table_name = any(%s) order by table_name, ordinal_position
"""
_DELETE_ACTIVITY = "delete from {schema}.analytics_activity where at < %s::timestamp at time zone 'UTC'"


def exist() -> bool:
    """Return whether the schema exists."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_namespace where nspname = %s)", [FLINK.schema])
        return bool(cursor.fetchone()[0])


def are_in_use() -> bool:
    """Return whether the shop runs with Flink and the tables exist."""
    return settings.ANALYTICS == "flink" and exist()


def find_fingerprint() -> str:
    """Return a hash of the job and of the tables' columns. State of another fingerprint can't be used."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, [[TABLES[name] for name in FLINK_TABLES]])
        columns = repr(cursor.fetchall())
    return hashlib.sha256(f"{JOB.read_text()}{columns}".encode()).hexdigest()[:12]


def create_tables() -> None:
    """Create the schema with empty tables, in place of an earlier one. Nothing is known about the job then."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"drop schema if exists {FLINK.schema} cascade")
        cursor.execute(f"create schema {FLINK.schema}")
        for name in FLINK_TABLES:
            by_day = "partition by range (day)" if name == "session" else ""
            table = TABLES[name]
            cursor.execute(f"create table {FLINK.schema}.{table} (like public.{table} including all) {by_day}")
        cursor.execute(_ACTIVITY.format(schema=FLINK.schema))
        FlinkJob.objects.all().delete()


def drop_old_days() -> None:
    """Delete activity and visits that are older than the retention."""
    if not are_in_use():
        return
    oldest = find_oldest_day()
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_ACTIVITY.format(schema=FLINK.schema), [oldest])
        for partition in list_partitions(cursor, FLINK.schema, TABLES["session"]):
            if partition < name_partition(TABLES["session"], oldest):
                cursor.execute(f"drop table {FLINK.schema}.{partition}")
