"""Heartbeats: a process is ready if it has recently completed a round of work, not if it merely runs.

Each beat also stores the counters of the process since its start.
"""

import json
import os
import socket
import threading
import time
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import Error

from relay.database import connection

STALE_AFTER_SECONDS = 15.0
BEAT_EVERY_SECONDS = 2.0
# Upper bounds of the histograms' buckets in seconds; a last bucket without a bound follows.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# The value 'epoch' in `at` means that the process has never completed a round. A time in the future shows that the
# database's clock went back. The size of the jump is then the age: a process that works writes a new time at once.
_WRITE = """
insert into relay_heartbeat as h (process, name, started_at, at, figures)
values (%(process)s, %(name)s, %(started_at)s, case when %(completed)s then clock_timestamp() else 'epoch' end,
        %(figures)s::jsonb || jsonb_build_object('tried_at', extract(epoch from clock_timestamp())))
on conflict (process) do update
    set started_at = excluded.started_at, figures = excluded.figures,
        at = case when %(completed)s then clock_timestamp() else h.at end
"""
_READ = """
select process, name, started_at, abs(extract(epoch from clock_timestamp() - at))::float8,
       abs(extract(epoch from clock_timestamp())::float8 - coalesce((figures->>'tried_at')::float8, 0)),
       at > 'epoch', figures
from relay_heartbeat order by abs(extract(epoch from clock_timestamp() - at))
"""
_FORGET = """
delete from relay_heartbeat where process = any(%s)
    or greatest(at, to_timestamp((figures->>'tried_at')::float8)) < clock_timestamp() - interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A process according to its last heartbeat.

    The process is ready if `age` is low. It is live if `tried_age` is low: it tries its work, so a restart would not
    help.
    """

    process: str
    name: str
    started_at: datetime
    age: float | None  # seconds since the last completed round; None before the first
    tried_age: float  # seconds since the last round, completed or failed
    waiting: str  # the error of the last round, or ""
    fallback: str | None  # why it uses its slower method; "": it uses the fast method; None: it has only one method
    counters: dict[str, int]
    histograms: dict[str, dict[str, Any]]

    @property
    def is_here(self) -> bool:
        """Whether the process runs on this host."""
        return self.process.startswith(f"{self.name}@{socket.gethostname()}:")

    def tell(self) -> str:
        """Return the age of the last round, and the error that the process waits for, as a short text."""
        last = "has never completed a round" if self.age is None else f"last round {self.age:.1f} s ago"
        return f"{last}, waits: {self.waiting}" if self.waiting else last


class Pulse:
    """The heartbeat and the counters of this process. Several processes may share `name`. Thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = f"{name}@{socket.gethostname()}:{os.getpid()}"
        self._started_at = datetime.now().astimezone()
        self._beaten = self._waited = 0.0
        self._lock = threading.Lock()
        self._counters: dict[str, int] = {}
        self._histograms: dict[str, dict[str, Any]] = {}
        #: Reason why this process uses its slower method, or "" if it uses the fast one; written with the next beat.
        self.fallback: str | None = None

    def count(self, name: str, n: int = 1) -> None:
        """Add `n` to the counter `name`. The next beat writes it."""
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + n

    def observe(self, name: str, seconds: float, n: int = 1) -> None:
        """Add `n` observations of `seconds` to the histogram `name`. The next beat writes it."""
        with self._lock:
            histogram = self._histograms.setdefault(name, {"buckets": [0] * (len(BUCKETS) + 1), "sum": 0.0})
            histogram["buckets"][bisect_left(BUCKETS, seconds)] += n
            histogram["sum"] += seconds * n

    def beat(self) -> None:
        """Record a completed round, at most once in BEAT_EVERY_SECONDS."""
        now = time.monotonic()
        if now - self._beaten < BEAT_EVERY_SECONDS:
            return
        if not self._beaten:
            self._forget_the_dead()
        self.write()
        self._beaten, self._waited = now, 0.0

    def wait(self, error: Exception) -> None:
        """Record a failed round and its `error`, at most once in BEAT_EVERY_SECONDS.

        Errors of the database are ignored, because nothing can be recorded while it is unavailable.
        """
        now = time.monotonic()
        if now - self._waited < BEAT_EVERY_SECONDS:
            return
        self._beaten, self._waited = 0.0, now
        with suppress(Error):
            self.write(waiting=f"{type(error).__name__}: {error}".strip()[:500])

    def write(self, *, waiting: str = "") -> None:
        """Write the heartbeat with all counters: a completed round, or a failed one if `waiting` is an error."""
        with self._lock:
            counted = {"counters": self._counters, "histograms": self._histograms}
            figures = json.dumps({**counted, "waiting": waiting, "fallback": self.fallback})
        row: dict[str, Any] = {"process": self.process, "name": self.name, "started_at": self._started_at}
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, {**row, "figures": figures, "completed": not waiting})

    def _forget_the_dead(self) -> None:
        """Delete the rows of ended processes with this name on this host, and all rows older than an hour."""
        prefix = self.process.rpartition(":")[0] + ":"
        with connection.cursor() as cursor:
            cursor.execute("select process from relay_heartbeat where starts_with(process, %s)", [prefix])
            dead = [process for (process,) in cursor.fetchall() if not _is_alive(int(process[len(prefix) :]))]
            cursor.execute(_FORGET, [dead])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@cache
def _pulse_of(name: str, pid: int) -> Pulse:
    return Pulse(name)


def beat(name: str) -> None:
    """Record that this process, with the name `name`, has completed a round. The database's clock gives the time."""
    _pulse_of(name, os.getpid()).write()


def read_ages() -> dict[str, float]:
    """Return, by process name, the seconds since any process with this name last completed a round."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select name, min(abs(extract(epoch from clock_timestamp() - at)))::float8 from relay_heartbeat"
            " where at > 'epoch' group by name"
        )
        return dict(cursor.fetchall())


def read_processes() -> list[Process]:
    """Return the last heartbeat of every process, the most recently completed round first."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        return [
            Process(
                process=process,
                name=name,
                started_at=started_at,
                age=age if has_completed else None,
                tried_age=tried_age,
                waiting=figures.get("waiting", ""),
                fallback=figures.get("fallback"),
                counters=figures.get("counters", {}),
                histograms=figures.get("histograms", {}),
            )
            for process, name, started_at, age, tried_age, has_completed, text in cursor.fetchall()
            for figures in [json.loads(text)]
        ]
