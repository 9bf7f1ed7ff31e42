"""Relay and consumers do not start on a database that would lose events, and a clock that differs is reported."""

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from relay.consumer.command import ConsumeCommand
from relay.consumer.receiver import Receiver
from relay.database.fitness import DatabaseUnfit, demand_fitness
from relay.forwarder.forwarder import Forwarder
from relay.heartbeat import read_processes
from tests.relay.readers import Readers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts")]
_CACHE = "alter sequence relay_outbox_position_seq cache {}"


@pytest.fixture
def cached_sequence() -> Iterator[None]:
    """A sequence with a cache of 20."""
    with connection.cursor() as cursor:
        cursor.execute(_CACHE.format(20))
    yield
    with connection.cursor() as cursor:
        cursor.execute(_CACHE.format(1))


@pytest.fixture
def serializable() -> Iterator[None]:
    """A session whose transactions are serializable, as by default in another database."""
    with connection.cursor() as cursor:
        cursor.execute("set default_transaction_isolation = 'serializable'")
    yield
    connection.close()


def end_soon() -> threading.Event:
    """Return an event that ends a loop that works although it should have refused."""
    stopping = threading.Event()
    threading.Timer(5, stopping.set).start()
    return stopping


@pytest.mark.usefixtures("cached_sequence")
def test_the_relay_does_not_start_with_a_cached_sequence() -> None:
    with pytest.raises(DatabaseUnfit, match=r"has a cache of 20.* cache 1"):
        Forwarder(name="unfit").run(end_soon())
    assert not [process for process in read_processes() if process.name == "unfit"]


@pytest.mark.usefixtures("cached_sequence")
def test_set_up_refuses_a_cached_sequence() -> None:
    with pytest.raises(CommandError, match=r"has a cache of 20.* cache 1"):
        call_command("set_up")


@pytest.mark.usefixtures("serializable")
def test_the_relay_does_not_start_with_another_isolation_level() -> None:
    with pytest.raises(DatabaseUnfit, match=r"SERIALIZABLE.* READ COMMITTED"):
        Forwarder(name="unfit").run(end_soon())


@pytest.mark.usefixtures("serializable")
def test_a_consumer_does_not_start_with_another_isolation_level(readers: Readers) -> None:
    with pytest.raises(DatabaseUnfit, match=r"SERIALIZABLE.* READ COMMITTED"):
        Receiver(readers.consumer).run(end_soon())


@pytest.mark.usefixtures("serializable")
def test_the_commands_end_with_one_sentence(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("relay.management.commands.run_relay", "relay.consumer.command"):
        monkeypatch.setattr(f"{module}.stop_on_signals", end_soon)
        monkeypatch.setattr(f"{module}.prepare_for_batches", lambda: None)
    consume = ConsumeCommand()
    consume.consumer = readers.consumer
    for command in ("run_relay", consume):
        with pytest.raises(CommandError, match="are SERIALIZABLE"):
            call_command(command)


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_that_differs_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    now = time.time
    monkeypatch.setattr("relay.database.fitness.time.time", lambda: now() - seconds)
    with caplog.at_level(logging.WARNING):
        demand_fitness()
    assert f"differs from this machine's by {seconds:+} s. Let both machines follow" in caplog.text
