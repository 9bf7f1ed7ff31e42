"""A consumer for the tests of the operators' commands, and functions that run a command and return its output."""

import json
import time
from concurrent.futures import Future
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings

from relay import Consumer
from relay.models import Outbox
from tests.relay.readers import Readers

# RELAY["CONSUMERS"] points to this consumer during a test.
current: Consumer | None = None


@pytest.fixture
def operated(readers: Readers, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Readers:
    """Set the readers as the only consumer."""
    monkeypatch.setattr("tests.relay.operated.current", readers.consumer)
    settings.RELAY = {**settings.RELAY, "CONSUMERS": ["tests.relay.operated.current"]}
    return readers


def operate(*words: str) -> str:
    """Run a command and return its output."""
    output = StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def operate_json(*words: str) -> Any:
    """Run a command with --json and return its decoded output."""
    return json.loads(operate(*words, "--json"))


def mark_published() -> None:
    """Mark every row of the outbox as published."""
    Outbox.objects.filter(published_at=None).update(published_at=Outbox.objects.latest("position").created_at)


def set_low_watermark(position: int) -> None:
    """Set the low watermark of all shards to `position`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_shardlease (shard, owner, epoch, until, low_mark)"
            " select shard, 'a', 1, now(), %s from generate_series(0, 15) as shard",
            [position],
        )


def make_due() -> None:
    """Make all parked keys due now."""
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp() where parked_at is not null")


def wait_for_a_lock(working: Future[None]) -> None:
    """Wait until `working`, which runs on another thread, waits for a lock of this transaction, or has ended."""
    deadline = time.monotonic() + 60
    while not working.done():
        assert time.monotonic() < deadline, "the other thread neither waits for a lock nor ends"
        with connection.cursor() as cursor:
            cursor.execute(
                "select exists (select from pg_locks"
                " where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
