"""Heartbeats: the time of the last completed round, failed rounds, and counters."""

import os
import socket
import subprocess
import sys
import threading
import time
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from relay import BrokerUnavailable, heartbeat
from relay.consumer.deliveries import Delivery
from relay.consumer.receiver import Receiver
from relay.forwarder.forwarder import Forwarder
from relay.forwarder.producer import Sending
from relay.heartbeat import BUCKETS, Pulse, read_ages, read_processes
from relay.models import Heartbeat
from relay.operations import cluster
from relay.publisher.topics import known_topics
from tests.relay.events import BookLent
from tests.relay.forwarding import publish_committed, running, wait_until_published
from tests.relay.readers import Readers, lend

pytestmark = pytest.mark.django_db


def ask(*options: str) -> int | str | None:
    """Return the exit code of `manage.py relay_health --name readers`."""
    try:
        call_command("relay_health", "--name", "readers", *options, stdout=StringIO())
    except SystemExit as end:
        return end.code
    return 0


def test_counters_and_histograms_are_written_with_the_beat() -> None:
    pulse = Pulse("readers")
    pulse.count("applied")
    pulse.count("applied", 4)
    pulse.observe("batch_seconds", 0.003)
    pulse.observe("batch_seconds", 90.0, n=2)
    pulse.beat()
    row = Heartbeat.objects.get(name="readers")
    assert row.process == f"readers@{socket.gethostname()}:{os.getpid()}"
    assert row.figures["counters"] == {"applied": 5}
    histogram = row.figures["histograms"]["batch_seconds"]
    assert histogram["sum"] == pytest.approx(180.003)
    assert [histogram["buckets"][BUCKETS.index(0.005)], histogram["buckets"][-1], sum(histogram["buckets"])] == [
        1,
        2,
        3,
    ]


def test_a_fast_loop_writes_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("relay.heartbeat.time.monotonic", lambda: clock[0])
    pulse = Pulse("readers")
    for seconds in (0.0, 1.0, 0.8, 0.4):
        clock[0] += seconds
        pulse.count("rounds")
        pulse.beat()
    assert Heartbeat.objects.get(name="readers").figures["counters"] == {"rounds": 4}
    clock[0] += 1.0
    pulse.count("rounds")
    pulse.beat()
    assert Heartbeat.objects.get(name="readers").figures["counters"] == {"rounds": 4}


def test_a_new_process_deletes_the_heartbeats_of_ended_processes() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    here = socket.gethostname()
    kept = [f"readers@{here}:{os.getppid()}", "readers@elsewhere:1", f"lenders@{here}:{gone.pid}"]
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at)"
            " select process, split_part(process, '@', 1), now(), now() from unnest(%s::text[]) as process",
            [[*kept, f"readers@{here}:{gone.pid}"]],
        )
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at)"
            " values ('lenders@elsewhere:2', 'lenders', now(), now() - interval '61 min')"
        )
    pulse = Pulse("readers")
    pulse.beat()
    assert set(Heartbeat.objects.values_list("process", flat=True)) == {*kept, pulse.process}


def test_a_waiting_process_is_live_but_not_ready() -> None:
    pulse = Pulse("readers")
    pulse.wait(BrokerUnavailable("nobody answers"))
    assert "readers" not in read_ages(), "it has never completed a round"
    assert ask("--live") == 0 and ask() == 1
    pulse.beat()
    assert ask() == 0
    with connection.cursor() as cursor:
        cursor.execute("update relay_heartbeat set at = at - interval '20 s'")
    pulse.wait(BrokerUnavailable("nobody answers"))
    (process,) = read_processes()
    assert process.age is not None and process.age > 20 > process.tried_age
    assert process.tell().endswith("s ago, waits: BrokerUnavailable: nobody answers")
    assert ask("--live") == 0 and ask() == 1 and ask("--max-age", "60") == 0


def test_here_ignores_a_process_of_another_host() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at)"
            " values ('readers@elsewhere:1', 'readers', now(), now())"
        )
    assert ask() == 0
    with pytest.raises(CommandError, match="no process 'readers' has a heartbeat on this host"):
        ask("--here")


class Stuck:
    """A source that returns the same deliveries at every poll."""

    def __init__(self, *delivered: Delivery) -> None:
        self.delivered = list(delivered)

    def poll(self, **options: object) -> list[Delivery]:
        return self.delivered

    def set_paused(self, paused: bool) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.django_db(transaction=True)
def test_a_consumer_that_polls_but_never_completes_a_batch_is_not_ready(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = uuid4()
    readers.failing[book] = OperationalError("canceling statement due to lock timeout")
    delivered = lend(book, "Ada")
    monkeypatch.setattr("relay.consumer.receiver.Subscription", lambda *args, **options: Stuck(*delivered))
    stopping = threading.Event()

    def run() -> None:
        Receiver(readers.consumer).run(stopping)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not (processes := read_processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        stopping.set()
        thread.join()
    assert [(process.name, process.age) for process in processes] == [("readers", None)]
    assert "lock timeout" in processes[0].waiting


@pytest.mark.django_db(transaction=True)
def test_a_relay_whose_batches_are_not_acknowledged_is_not_ready(
    parts: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.create_topics(known_topics())
    monkeypatch.setattr("relay.forwarder.forwarder.QUIET_SECONDS", 0.2)
    with running(Forwarder()):
        publish_committed(BookLent(book=uuid4()))
        wait_until_published()
        with monkeypatch.context() as frozen:
            frozen.setattr(Sending, "done", False)
            publish_committed(BookLent(book=uuid4()))
            deadline = time.monotonic() + 60
            while not (relay := read_processes()[0]).waiting and time.monotonic() < deadline:
                time.sleep(0.05)
            assert relay.waiting.startswith("BrokerUnavailable: no batch was acknowledged")
            waited = Heartbeat.objects.get(name="relay")
            deadline = time.monotonic() + 60
            # The relay has tried again since then, and has recorded a failed round.
            while (later := Heartbeat.objects.get(name="relay")).figures == waited.figures:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert later.figures["tried_at"] > waited.figures["tried_at"]
            assert later.at == waited.at
        deadline = time.monotonic() + 60
        while read_processes()[0].waiting and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not read_processes()[0].waiting


def test_the_age_of_a_name_is_the_age_of_its_freshest_process() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at) values"
            " ('readers@x:1', 'readers', now(), now() - interval '5 min'),"
            " ('lenders@x:2', 'lenders', now(), now() - interval '7 min')"
        )
    heartbeat.beat("readers")
    ages = read_ages()
    assert ages["readers"] < 5 and 420 <= ages["lenders"] < 430


def test_a_dead_process_does_not_look_alive_after_the_database_clock_went_back() -> None:
    """After the clock went back by an hour, the last times are in the future."""
    live, dead = Pulse("readers"), Pulse("readers")
    dead.process += "0"
    for pulse in (live, dead):
        pulse.beat()
    with connection.cursor() as cursor:
        cursor.execute(
            "update relay_heartbeat set at = at + interval '1 hour', figures = jsonb_set(figures, '{tried_at}',"
            " to_jsonb((figures->>'tried_at')::float8 + 3600))"
        )
    assert ask("--max-age", "15") == 1
    live.write()
    assert ask("--max-age", "15") == 0
    assert read_ages()["readers"] < 15
    ages = {process.process: process for process in read_processes()}
    assert ages[live.process].tried_age < 15
    assert (ages[dead.process].age or 0) > 3000 and ages[dead.process].tried_age > 3000
