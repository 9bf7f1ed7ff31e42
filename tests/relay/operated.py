"""A consumer that the operators' commands know, and what a command prints."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings

from relay import Consumer
from relay.models import Outbox
from tests.relay.readers import Readers

# What the commands find under RELAY["CONSUMERS"] while a test operates it.
current: Consumer | None = None


@pytest.fixture
def operated(readers: Readers, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Readers:
    """The readers, as the only consumer there is."""
    monkeypatch.setattr("tests.relay.operated.current", readers.consumer)
    settings.RELAY = {**settings.RELAY, "CONSUMERS": ["tests.relay.operated.current"]}
    return readers


def operate(*words: str) -> str:
    """Run a command and return what it prints."""
    output = StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def operate_json(*words: str) -> Any:
    """Run a command with --json and return what it prints, decoded."""
    return json.loads(operate(*words, "--json"))


def mark_published() -> None:
    """Let everything in the outbox be in Kafka."""
    Outbox.objects.filter(published_at=None).update(published_at=Outbox.objects.latest("position").created_at)


def set_low_mark(position: int) -> None:
    """Let the relays have settled everything up to a position."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_shardlease (shard, owner, epoch, until, low_mark)"
            " select shard, 'a', 1, now(), %s from generate_series(0, 15) as shard",
            [position],
        )


def make_due() -> None:
    """Let no parked key wait for its pause."""
    with connection.cursor() as cursor:
        cursor.execute("update relay_cursor set next_try_at = clock_timestamp() where parked_at is not null")
