"""Amnesia: analytics is killed while events go on, and misses nothing. Real relay, Kafka and consumers, as processes.

Two consumers with the same handlers see the same traffic: `analytics` is killed, the control is not. Meanwhile a
relay dies after sending, so that Kafka has events twice, and a key is parked. At the end the tables of both, and of a
consumer that joins last, have the same checksums, and equal a recount of the outbox.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from analytics.completeness import read_completeness
from analytics.generation import FIRST, Generation, drop_tables
from relay import Consumer
from relay.consumer.command import ConsumeCommand
from relay.forwarder import lease
from relay.operations import cluster
from relay.process import failpoint
from relay.publisher.topics import known_events, known_topics
from shop.events import ActivityEvent, InventoryEvent, OrderEvent, PaymentEvent, StockEvent
from tests.analytics.replicas import Replica, publish_all
from tests.analytics.traffic import Traffic
from tests.running_shop import RunningShop

SEED = int(os.environ["SEED"])
SECONDS = 90.0


@pytest.fixture
def own_topics(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the shop's events topics that no consumer of the running shop reads."""
    settings.RELAY = {**settings.RELAY, "PARTITIONS": 3, "CANARY_SECONDS": 0, "RETENTION_MS": {}, "READERS": {}}
    for family in (ActivityEvent, InventoryEvent, OrderEvent, PaymentEvent, StockEvent):
        monkeypatch.setattr(family, "topic", f"amnesia-{os.urandom(3).hex()}.{family.__name__.lower()}")
    known_events.cache_clear()
    cluster.create_topics(known_topics())
    yield
    known_events.cache_clear()


class Processes:
    """The relay and the consumers as forked processes."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}

    def start(self, name: str, run: Callable[[], None]) -> None:
        connection.close()  # parent and child would share an inherited connection
        pid = os.fork()
        if pid:
            self._pids[name] = pid
            return
        code = 1
        try:
            lease.read_lease_seconds, lease.RENEW_SECONDS = lambda: 1.0, 0.2
            run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def kill(self, name: str) -> None:
        os.kill(self._pids[name], signal.SIGKILL)
        self.wait(name)

    def wait(self, name: str) -> int:
        return os.waitpid(self._pids.pop(name), 0)[1]

    def stop(self) -> None:
        for name in [*self._pids]:
            self.kill(name)


def run_relay(*, dies_after_sending: bool = False) -> None:
    """Run a relay, which may kill itself when a batch is sent and not marked."""

    def die(label: str) -> None:
        if label == "relay.sent":
            os.kill(os.getpid(), signal.SIGKILL)

    if dies_after_sending:
        failpoint.hook = die
    call_command("run_relay")


def consume(consumer: Consumer) -> Callable[[], None]:
    def run() -> None:
        command = ConsumeCommand()
        command.consumer = consumer
        call_command(command)

    return run


def wait_until(is_so: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def has_everything(replica: Replica) -> bool:
    return not read_completeness(since=timezone.now(), generation=replica.generation).is_waiting


def park_a_key(consumer: str) -> None:
    """Park a key of `consumer`, due for a retry."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_cursor set parked_at = now(), reason = 'by the test', next_try_at = now()"
            " where id = (select id from relay_cursor where consumer = %s order by id limit 1)",
            [consumer],
        )
        assert cursor.rowcount == 1


def play(parts: RunningShop, seed: int, *, restart_broker: bool) -> None:
    """Play the scenario and compare all tables."""
    analytics, control = Replica(), Replica(Generation("control", "analytics_control"), create=True)
    events = Traffic(seed, visits=40).events
    third, processes = len(events) // 3, Processes()
    try:
        processes.start("relay", run_relay)
        processes.start("analytics", consume(analytics.consumer))
        processes.start("control", consume(control.consumer))
        publish_all(events[:third])
        wait_until(lambda: has_everything(analytics) and has_everything(control), "the first events are not applied")
        processes.kill("analytics")
        processes.kill("relay")
        park_a_key(FIRST.consumer)
        processes.start("dying relay", lambda: run_relay(dies_after_sending=True))
        for event in events[third : 2 * third]:
            publish_all([event])
        assert os.WIFSIGNALED(processes.wait("dying relay"))
        if restart_broker:
            parts.part_kill("kafka")
        processes.start("relay", run_relay)
        wait_until(lambda: has_everything(control), "the control misses events")
        missing = read_completeness(since=timezone.now())
        assert missing.is_waiting and missing.parked_keys == 1
        assert missing.until <= max(event.occurred_at for event in events[third : 2 * third])
        processes.start("analytics", consume(analytics.consumer))
        publish_all(events[2 * third :])
        wait_until(lambda: has_everything(analytics) and has_everything(control), "events are missing at the end")
        wait_until(lambda: not read_completeness(since=timezone.now()).parked_keys, "the parked key is not redriven")
        joiner = Replica(Generation("joiner", "analytics_joiner"), create=True)
        joiner.deliver()
        assert analytics.read() == control.read() == joiner.read()
        assert analytics.find_differences() == control.find_differences() == []
    finally:
        processes.stop()
        for name in ("control", "joiner"):
            with connection.cursor() as cursor:
                cursor.execute(f"create schema if not exists analytics_{name}")
            drop_tables(Generation(name, f"analytics_{name}"))


@pytest.mark.django_db(transaction=True)
def test_analytics_misses_nothing_while_it_is_dead(parts: RunningShop, own_topics: None) -> None:
    play(parts, SEED, restart_broker=False)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(SEED, SEED + 20))
def test_twenty_seeds_miss_nothing(parts: RunningShop, own_topics: None, seed: int) -> None:
    play(parts, seed, restart_broker=seed % 4 == 0)
