import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from math import inf
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import Error, connection
from kombu.utils.url import parse_url

from relay.consumer.canary import read_canary_ages
from relay.consumer.lag import read_lag
from relay.consumer.registry import all_consumers
from relay.health.backlog import read_unpublished
from relay.heartbeat import STALE_AFTER_SECONDS, Process, read_processes
from relay.models import ConsumerState
from relay.operations import cluster

LOOPS = ["relay", "orders", "inventory", "payments", "notifications", "analytics", "celery"]


class Command(BaseCommand):
    help = "Show where every part is, whether it is up, and what is still to be done."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read and show the state; a part that is away is shown as down, it is no error."""
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
            self.stdout.write("the database is away: nothing else can be told")
            return
        outbox = "\noutbox: {unpublished} unpublished, the oldest {oldest_seconds:.1f} s old, refused: {refused}"
        self.stdout.write(outbox.format(**status["outbox"]))
        for name, state in status["consumers"].items():
            about = "" if state["exact"] else "about "
            line = "lag {about}{lag} events in {keys} keys, parked keys: {parked}, ".format(about=about, **state)
            canary = "no canary yet" if state["canary_seconds"] is None else f"canary {state['canary_seconds']:.1f} s"
            paused = self.style.WARNING(f", paused: {state['paused']}") if state["paused"] else ""
            self.stdout.write(f"{name:<14} {line}{canary}{paused}")


def read_status() -> dict[str, Any]:
    """Collect addresses, parts, the outbox and the consumers as JSON-like data."""
    database, running = read_database()
    # The freshest process of each name.
    processes = {process.name: process for process in reversed(running)}
    outbox, consumers = (read_outbox(), read_consumers()) if database["up"] else (None, None)
    return {
        "addresses": read_addresses(),
        "parts": {
            "postgres": database,
            "kafka": tell(cluster.is_reachable),
            "valkey": tell(ping_valkey),
            "web": tell(lambda: ask_health(f"http://127.0.0.1:{settings.PORT}")),
            **({"gateway": tell(lambda: ask_health(settings.SANDBOX_URL))} if settings.SANDBOX_IS_USED else {}),
            **{name: tell_process(processes.get(name)) for name in LOOPS},
            # The heartbeat of Celery is a periodic task, so it shows the beat as well.
            "beat": tell_process(processes.get("celery")),
        },
        # By process: why it uses its slower method.
        "fallbacks": {p.process: p.fallback for p in running if p.fallback and p.tried_age < STALE_AFTER_SECONDS},
        "outbox": outbox,
        "consumers": consumers,
    }


def read_addresses() -> dict[str, str]:
    """Where everything is to be found."""
    web = f"http://127.0.0.1:{settings.PORT}"
    database = settings.DATABASES["default"]
    broker = parse_url(settings.CELERY_BROKER_URL)
    return {
        "web": f"{web}/",
        "api": f"{web}/api/docs/",
        "admin": f"{web}/admin/",
        "gateway": settings.SANDBOX_URL,
        "kafka": ",".join(settings.KAFKA_BOOTSTRAP_SERVERS),
        "postgres": f"{database['HOST']}:{database['PORT']}/{database['NAME']}",
        "valkey": f"{broker['hostname']}:{broker['port'] or 6379}",
    }


def read_database() -> tuple[dict[str, Any], list[Process]]:
    """Return whether PostgreSQL answers and, if so, all processes with a heartbeat, the freshest first."""
    try:
        connection.ensure_connection()
        return {"up": True, "detail": ""}, read_processes()
    except Error as error:
        return {"up": False, "detail": str(error).splitlines()[0]}, []


def read_outbox() -> dict[str, Any]:
    """What waits for Kafka."""
    unpublished = read_unpublished()
    return {
        "unpublished": unpublished.rows,
        "oldest_seconds": round(unpublished.oldest_seconds, 3),
        "refused": unpublished.refused,
    }


def read_consumers() -> dict[str, Any]:
    """What waits for each consumer, how old the newest canary is that reached it, and why it is paused if it is."""
    lags = {consumer.name: read_lag(consumer) for consumer in all_consumers()}
    canaries = read_canary_ages(list(lags))
    paused = {s.consumer: f"{s.reason} ({s.paused_by})" for s in ConsumerState.objects.exclude(paused_at=None)}
    consumers: dict[str, Any] = {}
    for name, lag in lags.items():
        age = canaries.get(name, inf)
        consumers[name] = {"lag": lag.events, "keys": lag.keys, "exact": lag.exact, "parked": lag.parked}
        consumers[name] |= {"canary_seconds": round(age, 3) if age < inf else None, "paused": paused.get(name, "")}
    return consumers


def tell(check: Callable[[], bool]) -> dict[str, Any]:
    """Turn the outcome of a check into a part's state."""
    return {"up": check(), "detail": ""}


def tell_process(process: Process | None) -> dict[str, Any]:
    """A looping process is up when its last completed round is young enough, whatever it may be waiting for."""
    if process is None:
        return {"up": False, "detail": "has never completed a round"}
    return {"up": process.age is not None and process.age < STALE_AFTER_SECONDS, "detail": process.tell()}


def ask_health(url: str) -> bool:
    """Ask the process that listens at `url` whether it is well."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=3) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def ping_valkey() -> bool:
    """Say PING to the Celery broker."""
    url = parse_url(settings.CELERY_BROKER_URL)
    try:
        with socket.create_connection((url["hostname"], url["port"] or 6379), timeout=2) as channel:
            channel.sendall(b"PING\r\n")
            # Without a password a protected server answers -NOAUTH, which is an answer too.
            return channel.recv(64)[:1] in (b"+", b"-")
    except OSError:
        return False
