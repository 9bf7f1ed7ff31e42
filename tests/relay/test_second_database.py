"""RELAY["DATABASE"]: everything of the relay happens in a second database, and nothing in the default one."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core import checks
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from relay import PublishedOutsideTransaction, publish, publish_many
from relay.consumer.lag import read_lag
from relay.database.router import Router
from relay.forwarder.forwarder import Forwarder
from relay.health.backlog import list_unpublished
from relay.heartbeat import beat, read_ages
from relay.models import Cursor, Intervention, Outbox, ParkedKey, ShardLease
from relay.operations.pause import pause, resume
from relay.partitions import ensure_partitions, read_position
from relay.testing import assert_published, deliver
from tests.relay.events import BookLent
from tests.relay.forwarding import forward_all, read_key
from tests.relay.operated import operate, operate_json, operated
from tests.relay.readers import Readers

__all__ = ["operated"]

ALIAS, NAME = "second", "relay_second"
TABLES = ["relay_outbox", "relay_stream", "relay_cursor", "relay_heartbeat", "relay_intervention", "relay_shardlease"]
# pytest-django's own marker forbids databases that are not in the settings.
pytestmark = pytest.mark.usefixtures("second")


@pytest.fixture
def second(django_db_setup: None, django_db_blocker: Any, settings: Settings) -> Iterator[None]:
    """Create a second database with the relay's tables, and check that the default one stays without their rows."""
    with django_db_blocker.unblock():
        yield from use_second_database(settings)


def use_second_database(settings: Settings) -> Iterator[None]:
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"drop database if exists {NAME} with (force)")
        cursor.execute(f"create database {NAME}")
    connections.databases[ALIAS] = {**django_settings.DATABASES["default"], "NAME": NAME}
    settings.DATABASE_ROUTERS = ["relay.database.router.Router"]
    settings.RELAY = {**settings.RELAY, "DATABASE": ALIAS}
    call_command("migrate", "relay", database=ALIAS, verbosity=0)
    before = {table: count_rows("default", table) for table in TABLES}
    yield
    after = {table: count_rows("default", table) for table in TABLES}
    connections[ALIAS].close()
    del connections[ALIAS], connections.databases[ALIAS]
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"drop database {NAME} with (force)")
    assert after == before


def count_rows(alias: str, table: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"select count(*) from {table}")  # noqa: S608 - our own names
        return int(cursor.fetchone()[0])


def test_publishing_needs_a_transaction_of_the_second_database() -> None:
    event = BookLent(book=uuid4())
    with transaction.atomic(), pytest.raises(PublishedOutsideTransaction):
        publish(event)
    with transaction.atomic(using=ALIAS):
        assert publish(event) == 1
        publish_many([event, BookLent(book=event.book)])
    assert [row.sequence for row in Outbox.objects.order_by("position")] == [1, 2, 3]
    assert count_rows(ALIAS, "relay_outbox") == 3
    assert_published(BookLent, key=event.book, times=3)


def test_a_rollback_of_the_second_database_takes_the_event_with_it() -> None:
    with transaction.atomic(using=ALIAS):
        publish(BookLent(book=uuid4()))
        transaction.set_rollback(True, using=ALIAS)
    assert Outbox.objects.count() == 0


@pytest.mark.usefixtures("parts")
def test_relay_and_consumer_work_in_the_second_database(forwarder: Forwarder, readers: Readers) -> None:
    books = [uuid4() for _ in range(3)]
    with transaction.atomic(using=ALIAS):
        publish_many([BookLent(book=book, reader=name) for book in books for name in ("Ada", "Bob")])
    forward_all(forwarder)
    assert Outbox.objects.filter(published_at=None).count() == 0
    for book in books:
        received = read_key(book)
        readers.consumer.process(received)
        readers.consumer.process(received)  # duplicates, which the cursor knows
        assert readers.applied(book) == ["Ada", "Bob"]
    assert count_rows(ALIAS, "relay_cursor") == len(books)
    assert count_rows(ALIAS, "relay_shardlease") == 16
    assert ShardLease.objects.exclude(owner=forwarder.leases.owner).count() == 0
    assert read_lag(readers.consumer).events == 0


def test_a_key_is_parked_and_redriven_in_the_second_database(readers: Readers) -> None:
    book = uuid4()
    readers.failing[book] = ZeroDivisionError("boom")
    with transaction.atomic(using=ALIAS):
        publish(BookLent(book=book, reader="Ada"))
    deliver(readers.consumer, parked="allow")
    assert ParkedKey.objects.get().key == str(book)
    del readers.failing[book]
    assert readers.catch_up(book)
    assert readers.applied(book) == ["Ada"]
    assert Cursor.objects.get(topic="test.library").parked_at is None


def test_operations_and_commands_work_in_the_second_database(operated: Readers) -> None:
    with transaction.atomic(using=ALIAS):
        publish(BookLent(book=uuid4()))
    pause("readers", actor="test", reason="because")
    resume("readers", actor="test")
    assert [row.action for row in Intervention.objects.order_by("at")] == ["pause", "resume"]
    assert count_rows(ALIAS, "relay_intervention") == 2
    assert operate_json("relay_lag")["consumers"]["readers"]["events"] == 1
    assert "readers" in operate("relay_lag")
    assert len(list_unpublished(10, refused=False)) == 1
    beat("second")
    assert "second" in read_ages()
    assert read_position() == 1
    assert ensure_partitions() == []


def test_the_admin_shows_the_second_database(client: Client) -> None:
    event = BookLent(book=uuid4())
    with transaction.atomic(using=ALIAS):
        publish(event)
    user = User.objects.create_superuser("staff of two databases")
    try:
        client.force_login(user)
        assert str(event.book) in client.get("/admin/relay/outbox/").content.decode()
        for page in ("parkedkey", "consumerstate", "shardlease", "intervention"):
            assert client.get(f"/admin/relay/{page}/").status_code == 200
    finally:
        client.logout()
        user.delete()


def test_the_router_leads_the_migrations_of_the_relay_only() -> None:
    with connections[ALIAS].cursor() as cursor:
        tables = connections[ALIAS].introspection.table_names(cursor)
    assert all(table.startswith(("relay_", "django_migrations")) for table in tables)
    router = Router()
    assert [router.allow_migrate(alias, "relay") for alias in ("default", ALIAS)] == [False, True]
    assert router.allow_migrate("default", "orders") is None
    assert router.db_for_read(User) is None
    assert router.db_for_write(Outbox) == ALIAS


def test_the_checks_pass(settings: Settings) -> None:
    found = checks.run_checks(databases=[ALIAS])
    assert [message for message in found if (message.id or "").startswith("relay.")] == []
    settings.DATABASE_ROUTERS = []
    assert [message.id for message in checks.run_checks(tags=["relay"])] == ["relay.E004"]
