"""The one migration of the relay: its tables fit the models, and a database of the four older migrations keeps its."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from relay.models import Outbox

NAME = "relay_migrated"
INITIAL = ("relay", "0001_initial")


@pytest.fixture
def scratch(django_db_blocker: object, django_db_setup: None) -> Iterator[BaseDatabaseWrapper]:
    """A connection to an empty database."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"drop database if exists {NAME}")
            cursor.execute(f"create database {NAME}")
        connections.databases["scratch"] = {**settings.DATABASES["default"], "NAME": NAME}
        yield connections["scratch"]
        connections["scratch"].close()
        del connections["scratch"], connections.databases["scratch"]
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"drop database {NAME}")


def migrate(scratch: BaseDatabaseWrapper, name: str | None) -> None:
    MigrationExecutor(scratch).migrate([("relay", name)])


def test_the_outbox_has_the_columns_and_indexes_of_its_model(scratch: BaseDatabaseWrapper) -> None:
    migrate(scratch, "0001_initial")
    with scratch.cursor() as cursor:
        columns = [column.name for column in scratch.introspection.get_table_description(cursor, "relay_outbox")]
        cursor.execute("select indexname from pg_indexes where tablename = 'relay_outbox'")
        indexes = {name for (name,) in cursor.fetchall()}
    assert columns == [field.column for field in Outbox._meta.local_fields]
    assert indexes == {"relay_outbox_pkey", *(index.name for index in Outbox._meta.indexes)}


@pytest.mark.parametrize(
    ("position", "partition"),
    [(0, "relay_outbox_p0"), (1_000_000, "relay_outbox_p1"), (6_000_000, "relay_outbox_default")],
)
def test_a_row_goes_into_the_partition_of_its_position(
    scratch: BaseDatabaseWrapper, position: int, partition: str
) -> None:
    migrate(scratch, "0001_initial")
    with scratch.cursor() as cursor:
        cursor.execute(
            "insert into relay_outbox (position, topic, key, key_hash, sequence, event_id, type, occurred_at, body)"
            " values (%s, 't', 'c', 1, 1, gen_random_uuid(), 'T.v1', now(), '{}') returning tableoid::regclass::text",
            [position],
        )
        assert cursor.fetchone() == (partition,)


def test_a_database_of_the_four_older_migrations_needs_nothing(scratch: BaseDatabaseWrapper) -> None:
    migrate(scratch, "0001_initial")
    for older in ("0002_full_strength", "0003_no_truncate", "0004_keys_first"):
        MigrationRecorder(scratch).record_applied("relay", older)
    executor = MigrationExecutor(scratch)
    executor.loader.check_consistent_history(scratch)
    assert executor.migration_plan([INITIAL]) == []


def test_the_migration_can_be_reversed(scratch: BaseDatabaseWrapper) -> None:
    migrate(scratch, "0001_initial")
    migrate(scratch, None)
    with scratch.cursor() as cursor:
        assert scratch.introspection.table_names(cursor) == ["django_migrations"]
        cursor.execute("select proname from pg_proc where proname like 'relay%'")
        assert cursor.fetchall() == []
