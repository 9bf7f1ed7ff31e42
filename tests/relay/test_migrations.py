"""The migration to a partitioned outbox keeps all rows and positions."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from relay.publisher.outbox import hash_key

NAME = "relay_migrated"


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


def migrate(scratch: BaseDatabaseWrapper, name: str) -> None:
    executor = MigrationExecutor(scratch)
    executor.migrate([("relay", name)])


def test_the_rows_of_an_outbox_in_use_move_into_partitions(scratch: BaseDatabaseWrapper) -> None:
    migrate(scratch, "0001_initial")
    columns = (
        "position, topic, key, sequence, event_id, type, occurred_at, body, created_at, published_at, refused_reason"
    )
    with scratch.cursor() as cursor:
        cursor.executemany(
            "insert into relay_outbox (topic, key, sequence, event_id, type, occurred_at, body, published_at,"
            " refused_reason) values ('t', %s, %s, %s, 'T.v1', now(), %s, %s, %s)",
            [
                (key, sequence, uuid4(), f'{{"n": {sequence}}}', "2026-01-01Z" if sequence == 1 else None, refusal)
                for key, refusal in [("a", None), ("b", "too large"), ("ü", None)]
                for sequence in (1, 2)
            ],
        )
        cursor.execute("delete from relay_outbox where key = 'a'")  # a gap in the positions
        cursor.execute(f"select {columns} from relay_outbox order by position")  # noqa: S608 - our own names
        before = cursor.fetchall()
    migrate(scratch, "0002_full_strength")
    with scratch.cursor() as cursor:
        cursor.execute(f"select {columns} from relay_outbox order by position")  # noqa: S608 - our own names
        assert cursor.fetchall() == before
        cursor.execute("select key, key_hash from relay_outbox")
        assert all(key_hash == hash_key(key) for key, key_hash in cursor.fetchall())
        cursor.execute(
            "insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body)"
            " values ('t', 'c', 1, 1, gen_random_uuid(), 'T.v1', now(), '{}')"
            " returning position, tableoid::regclass::text"
        )
        assert cursor.fetchone() == (before[-1][0] + 1, "relay_outbox_p0")
        cursor.execute("select to_regclass('relay_outbox_unpartitioned')")
        assert cursor.fetchone() == (None,)
