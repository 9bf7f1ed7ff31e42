"""Health checks of all parts, run in a separate process so that a part that hangs can't block the supervisor.

The process prints one JSON line for each round: the time at which the round began, the servers that answered, and the
age of each process's heartbeat in seconds.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException

import psycopg
from django.conf import settings
from django.db import Error, connection

from analytics.flink.cluster import FlinkUnavailable, find_newest
from relay.heartbeat import read_ages
from shop.embedded import kafka, run_files
from shop.embedded.logs import PartLog

_PAUSE_SECONDS = 0.15  # between two rounds, while a part is starting
_LONG_PAUSE_SECONDS = 3.0  # between two rounds, after all parts have started


def watch() -> None:
    """Check the parts that are alive in an endless loop. All processes of a machine share the monotonic clock."""
    probes = _list_probes()
    while True:
        began = time.monotonic()
        states = _read_states()
        alive = {name for name, state in states.items() if state in ("starting", "running")}
        answering = [name for name in alive & probes.keys() if probes[name]()]
        ages = _read_ages() if alive - probes.keys() else {}
        print(
            json.dumps({"began": began, "answering": answering, "ages": ages}),
            flush=True,
        )
        _pause(_PAUSE_SECONDS if "starting" in states.values() else _LONG_PAUSE_SECONDS, states)


def _read_states() -> dict[str, str]:
    return {name: row["state"] for name, row in run_files.read_parts().items()}


def _pause(seconds: float, states: dict[str, str]) -> None:
    """Wait for `seconds`, or until `states` are no longer those of the parts: a part may have started."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at and _read_states() == states:
        time.sleep(_PAUSE_SECONDS)


def _list_probes() -> dict[str, Callable[[], bool]]:
    return {
        "postgres": _postgres_answers,
        "valkey": _valkey_answers,
        "web": _web_answers,
        "gateway": partial(_answers_http, "127.0.0.1", settings.SANDBOX_PORT, "localhost"),
        "live": partial(_answers_http, _find_local(settings.HOST), settings.LIVE_PORT, "localhost"),
        # The job manager is healthy when the job runs, which needs the task manager.
        "flink-jobs": _flink_answers,
        "flink-tasks": _flink_answers,
        **{
            name: partial(kafka.answers, "127.0.0.1", settings.KAFKA_PORT + index)
            for index, name in enumerate(kafka.name_brokers())
        },
    }


def _flink_answers() -> bool:
    try:
        return find_newest(settings.FLINK_URL).get("state") == "RUNNING"
    except FlinkUnavailable:
        return False


def _postgres_answers() -> bool:
    wanted = connection.get_connection_params()
    try:
        psycopg.connect(**wanted | {"dbname": "postgres", "connect_timeout": 2}).close()
    except psycopg.Error:
        return False
    return True


def _valkey_answers() -> bool:
    from redis import Redis, RedisError

    client = Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _web_answers() -> bool:
    host = settings.ALLOWED_HOSTS[0].lstrip(".") if "*" not in settings.ALLOWED_HOSTS else "localhost"
    return _answers_http(_find_local(settings.HOST), settings.PORT, host)


def _find_local(host: str) -> str:
    """Return the address of this machine at which a server that listens on `host` answers."""
    return "127.0.0.1" if host == "0.0.0.0" else host


def _answers_http(address: str, port: int, host: str) -> bool:
    client = HTTPConnection(address, port, timeout=2)
    try:
        client.request("GET", "/healthz", headers={"Host": host})
        return client.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        client.close()


def _read_ages() -> dict[str, float]:
    """Return the age of each heartbeat in seconds, or an empty dict while the database or the table is missing."""
    try:
        return read_ages()
    except Error:
        connection.close()
        return {}


class ReportLog(PartLog):
    """The output of the health process. The supervisor keeps the newest report instead of printing the lines."""

    def __init__(self) -> None:
        super().__init__("health", number=0)
        self._began = 0.0
        self._answering: frozenset[str] = frozenset()
        self._ages: dict[str, float] = {}

    def take(self, line: str) -> None:
        """Keep `line` if it is a report. Print any other line, because it is an error of the health process."""
        if not line.startswith("{"):
            super().take(line)
            return
        report = json.loads(line)
        self._began, self._answering, self._ages = (
            report["began"],
            frozenset(report["answering"]),
            report["ages"],
        )

    def is_well(self, name: str, *, since: float) -> bool:
        """Return whether a health check of the part `name` succeeded after the monotonic time `since`."""
        if name in self._answering:
            return self._began > since
        return name in self._ages and self._began - self._ages[name] > since
