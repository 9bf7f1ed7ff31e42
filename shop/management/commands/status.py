import json
import urllib.request
from collections.abc import Callable
from math import inf
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, connection
from kombu.utils.url import parse_url
from redis import Redis, RedisError

from analytics.flink.state import describe_job
from relay.consumer.canary import read_canary_ages
from relay.consumer.lag import read_lags
from relay.consumer.origin import count_unexplained
from relay.consumer.registry import all_consumers
from relay.health.backlog import read_unpublished
from relay.heartbeat import STALE_AFTER_SECONDS, Process, read_processes
from relay.models import ConsumerState
from relay.operations import cluster
from relay.process.broker import BrokerUnavailable
from shop.control.verdict import PROCESSES
from shop.embedded.addresses import make_database_url


class Command(BaseCommand):
    help = "Show the address and the state of each part, and the backlogs of the outbox and the consumers."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="Print the status as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the status. A part that does not answer is shown as down, without an error."""
        status = read_status()
        if options["json"]:
            self.stdout.write(json.dumps(status, indent=2))
            return
        for part, state in status["parts"].items():
            label = self.style.SUCCESS("up  ") if state["up"] else self.style.ERROR("down")
            self.stdout.write(f"{label} {part:<14} {status['addresses'].get(part, '')} {state['detail']}".rstrip())
        for process, reason in status["fallbacks"].items():
            self.stdout.write(self.style.WARNING(f"slow {process} sends records one by one: {reason}"))
        if status["outbox"] is None:
            self.stdout.write("the database is down: the state of the outbox and the consumers is unknown")
            return
        outbox = "\noutbox: {unpublished} unpublished, the oldest {oldest_seconds:.1f} s old, refused: {refused}"
        self.stdout.write(outbox.format(**status["outbox"]))
        if foreign := status["outbox"]["foreign"]:
            problem = f"foreign: {foreign} records in Kafka are not from the outbox: see relay_after_restore --dry-run"
            self.stdout.write(self.style.ERROR(problem))
        for name, state in status["consumers"].items():
            about = "" if state["exact"] else "about "
            line = "lag {about}{lag} events in {keys} keys, parked keys: {parked}, ".format(about=about, **state)
            canary = "no canary yet" if state["canary_seconds"] is None else f"canary {state['canary_seconds']:.1f} s"
            paused = self.style.WARNING(f", paused: {state['paused']}") if state["paused"] else ""
            self.stdout.write(f"{name:<14} {line}{canary}{paused}")
        if flink := status.get("flink"):
            self.stdout.write(tell_flink(flink))


def read_status() -> dict[str, Any]:
    """Collect addresses, parts, the outbox and the consumers as JSON-like data."""
    database, running = read_database()
    # The process with the newest heartbeat for each name.
    processes = {process.name: process for process in reversed(running)}
    outbox, consumers = (read_outbox(), read_consumers()) if database["up"] else (None, None)
    return {
        "addresses": read_addresses(),
        "parts": {
            "postgres": database,
            "kafka": check_part(cluster.check_access),
            "valkey": check_part(ping_valkey),
            "web": check_part(lambda: check_health(f"http://127.0.0.1:{settings.PORT}")),
            **({"gateway": check_part(lambda: check_health(settings.SANDBOX_URL))} if settings.SANDBOX_IS_USED else {}),
            **{name: describe_process(processes.get(name)) for name in PROCESSES},
            # A periodic task sends Celery's heartbeat, so the heartbeat shows that beat runs, too.
            "beat": describe_process(processes.get("celery")),
        },
        # The reason for which a process uses its slower method, by process.
        "fallbacks": {p.process: p.fallback for p in running if p.fallback and p.tried_age < STALE_AFTER_SECONDS},
        "outbox": outbox,
        "consumers": consumers,
        **({"flink": describe_job()} if settings.ANALYTICS == "flink" and database["up"] else {}),
    }


def tell_flink(job: dict[str, Any]) -> str:
    """Return the line about Flink's job."""
    until = job.get("until") or "not known yet"
    figures = f"complete until {until}, waiting: {job.get('waiting', 0)}, restarts: {job.get('restarts', 0)}"
    error = f" ({job['detail']})" if job["detail"] else ""
    return f"{'flink':<14} {job['state']}: {figures}, pages read the tables of {job['pages']}{error}"


def read_addresses() -> dict[str, str]:
    """Return the address of each part and web page by name, without passwords."""
    web = f"http://127.0.0.1:{settings.PORT}"
    broker = parse_url(settings.CELERY_BROKER_URL)
    return {
        "web": f"{web}/",
        "api": f"{web}/api/docs/",
        "admin": f"{web}/admin/",
        "gateway": settings.SANDBOX_URL,
        "kafka": ",".join(settings.KAFKA_BOOTSTRAP_SERVERS),
        "postgres": make_database_url(settings.DATABASES["default"]),
        "valkey": f"{broker['hostname']}:{broker['port'] or 6379}",
    }


def read_database() -> tuple[dict[str, Any], list[Process]]:
    """Return the state of PostgreSQL and all processes with a heartbeat, newest first; none if it does not answer."""
    try:
        connection.ensure_connection()
        return {"up": True, "detail": ""}, read_processes()
    except Error as error:
        return {"up": False, "detail": str(error).splitlines()[0]}, []


def read_outbox() -> dict[str, Any]:
    """Return the number and age of the unpublished rows, and the numbers of refused rows and of foreign records."""
    unpublished = read_unpublished()
    return {
        "unpublished": unpublished.rows,
        "oldest_seconds": round(unpublished.oldest_seconds, 3),
        "refused": unpublished.refused,
        "foreign": count_unexplained(),
    }


def read_consumers() -> dict[str, Any]:
    """Return for each consumer: its lag, its parked keys, the age of its newest canary and the reason of a pause."""
    lags = read_lags(all_consumers())
    canaries = read_canary_ages(list(lags))
    paused = {s.consumer: f"{s.reason} ({s.paused_by})" for s in ConsumerState.objects.exclude(paused_at=None)}
    consumers: dict[str, Any] = {}
    for name, lag in lags.items():
        age = canaries.get(name, inf)
        consumers[name] = {"lag": lag.events, "keys": lag.keys, "exact": lag.exact, "parked": lag.parked}
        consumers[name] |= {"canary_seconds": round(age, 3) if age < inf else None, "paused": paused.get(name, "")}
    return consumers


def check_part(check: Callable[[], None]) -> dict[str, Any]:
    """Return the state of a part: it is up unless `check` raises. The detail is the reason."""
    try:
        check()
    except (BrokerUnavailable, RedisError, OSError) as error:
        return {"up": False, "detail": str(error)}
    return {"up": True, "detail": ""}


def describe_process(process: Process | None) -> dict[str, Any]:
    """Return the state of a process: it is up if it completed a round less than STALE_AFTER_SECONDS ago."""
    if process is None:
        return {"up": False, "detail": "has never completed a round"}
    return {"up": process.age is not None and process.age < STALE_AFTER_SECONDS, "detail": process.tell()}


def check_health(url: str) -> None:
    """Raise OSError unless the server at `url` answers its health check with 200."""
    with urllib.request.urlopen(f"{url}/healthz", timeout=3):
        pass  # it raises for each other code


def ping_valkey() -> None:
    """Raise RedisError unless the Celery broker accepts the log-in and answers."""
    with Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=2, socket_connect_timeout=2) as valkey:
        valkey.ping()
