"""A heartbeat tells when a process last completed a round, and what it has counted."""

import os
import socket
import subprocess
import sys

import pytest
from django.db import connection

from relay import heartbeat
from relay.heartbeat import BUCKETS, Pulse, read_ages
from relay.models import Heartbeat

pytestmark = pytest.mark.django_db


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


def test_a_fast_loop_writes_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("relay.heartbeat.time.monotonic", lambda: clock[0])
    pulse = Pulse("readers")
    for seconds in (0.0, 0.5, 0.4, 0.2):
        clock[0] += seconds
        pulse.count("rounds")
        pulse.beat()
    assert Heartbeat.objects.get(name="readers").figures["counters"] == {"rounds": 4}
    clock[0] += 0.5
    pulse.count("rounds")
    pulse.beat()
    assert Heartbeat.objects.get(name="readers").figures["counters"] == {"rounds": 4}


def test_a_new_process_forgets_those_that_are_gone() -> None:
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


def test_the_age_of_a_name_is_that_of_its_freshest_process() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into relay_heartbeat (process, name, started_at, at) values"
            " ('readers@x:1', 'readers', now(), now() - interval '5 min'),"
            " ('lenders@x:2', 'lenders', now(), now() - interval '7 min')"
        )
    heartbeat.beat("readers")
    ages = read_ages()
    assert ages["readers"] < 5 and 420 <= ages["lenders"] < 430
