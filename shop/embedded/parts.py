"""Processes of the shop: the command of each process, and the parts that must be ready before it starts.

`list_commands` lists the Python processes. docker-compose.yml contains the same commands, and a test compares the two.
"""

import gc
import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module

import psutil
from django.conf import settings

from shop.embedded import flink, kafka, postgres, setup, valkey
from shop.embedded.jars import FLINK, KAFKA
from shop.environment import describe_session

CONSUMERS = ("orders", "inventory", "payments", "notifications", "analytics", "bought_together")
_PROGRAMS = (
    "shop.live.server",
    "shop.wsgi",
    "payments.sandbox.wsgi",
    "granian.cli",
    "celery.__main__",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "kombu.transport.redis",
)
#: The command of the part that follows Flink's job; only with ANALYTICS=flink.
WATCH_FLINK = "manage.py watch_flink"
WEB_WORKERS = 2
# Per worker. A client that sends a body slowly occupies a thread. The seats of shop/wsgi.py limit the work in Django.
WEB_THREADS = 1000
WEB_CLIENTS = 2000  # connections per worker; Granian accepts no more until one closes
WEB_HEAD_BYTES = 64 * 1024  # maximum size of a request's headers
MOST_FILES = 8192  # file descriptors per process of Granian; the usual limit of 1024 is lower than WEB_CLIENTS
GATEWAY_THREADS = 80  # a call with a token that simulates a timeout occupies one thread
# Granian kills a worker that does not stop within 8 s, before the supervisor kills the whole part after 10 s.
_GRANIAN = (
    "granian --interface wsgi --http 1 --no-ws --log-level error --respawn-failed-workers --workers-kill-timeout 8"
)


def list_commands(web: str, gateway: str, live: str) -> dict[str, str]:
    """Return the command line of each Python process by its part's name. The parameters are addresses `host:port`."""
    return {
        "web": f"{_GRANIAN} {_listen(web)} --workers {WEB_WORKERS} --blocking-threads {WEB_THREADS}"
        f" --backpressure {WEB_CLIENTS} --http1-buffer-size {WEB_HEAD_BYTES} shop.wsgi:application",
        # A thread that ends closes its database connection, so keep idle threads for as long as Granian allows.
        "gateway": f"{_GRANIAN} {_listen(gateway)} --blocking-threads {GATEWAY_THREADS}"
        " --blocking-threads-idle-timeout 600 --http1-header-read-timeout 60000 payments.sandbox.wsgi:application",
        "live": f"manage.py run_live {_listen(live)}",
        "relay": "manage.py run_relay",
        **{name: f"manage.py consume_{name}" for name in CONSUMERS},
        "celery": "celery -A shop --quiet worker --pool threads --concurrency 8 --loglevel warning"
        " --without-mingle --without-gossip --without-heartbeat",
        "beat": "celery -A shop --quiet beat --loglevel warning",
    }


def _listen(address: str) -> str:
    """Return the options that make a server listen on `address`, given as `host:port`."""
    host, _, port = address.rpartition(":")
    return f"--host {host} --port {port}"


@dataclass(frozen=True)
class Part:
    """A process that starts when all parts in `after` are ready, and restarts when it ends.

    A job runs once: it is ready when it has ended with code 0.
    """

    name: str
    run: Callable[[], None]
    after: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    stop_stage: int = 0  # parts of a lower stage stop first
    ready_seconds: float = 60  # maximum time from the first start until the part is ready
    is_job: bool = False
    ports: dict[str, int] = field(default_factory=dict)  # the variable that sets a port -> the port
    find_others: Callable[[], list[psutil.Process]] = list  # processes of the part outside its session


def list_parts() -> list[Part]:
    """Return all parts and jobs that run on this machine."""
    brokers = kafka.name_brokers()
    parts = [*_list_outside_parts(brokers), *_list_jobs(brokers)]
    after = {
        "web": ("database",),
        "gateway": ("database",),
        "live": ("database", "topics"),
        "celery": ("database", "valkey"),
        "beat": ("database", "valkey"),
    }
    ports = {
        "web": {"PORT": settings.PORT},
        "gateway": {"SANDBOX_PORT": settings.SANDBOX_PORT},
        "live": {"LIVE_PORT": settings.LIVE_PORT},
    }
    commands = list_commands(
        f"{settings.HOST}:{settings.PORT}",
        f"127.0.0.1:{settings.SANDBOX_PORT}",
        f"{settings.HOST}:{settings.LIVE_PORT}",
    )
    for name, command in commands.items():
        parts.append(
            Part(
                name,
                partial(run_command, command),
                after=after.get(name, ("database", "topics")),
                ports=ports.get(name, {}),
                stop_stage=1 if name == "gateway" else 0,
            )
        )
    if settings.ANALYTICS == "flink":
        parts += _list_flink()
    if settings.LAB:
        parts.append(Part("lab", partial(run_command, "manage.py lab work"), after=("database", "topics", "catalogue")))
    elsewhere = settings.OUTSIDE_PARTS | (set() if settings.SANDBOX_IS_USED else {"gateway"})
    return [part for part in parts if part.name.split("-")[0] not in elsewhere]


def _list_outside_parts(brokers: list[str]) -> list[Part]:
    return [
        Part(
            "postgres",
            postgres.exec_server,
            stop_signal=signal.SIGINT,  # fast shutdown: on SIGTERM, PostgreSQL waits for all clients
            stop_seconds=20,
            stop_stage=3,
            ready_seconds=180,
            find_others=postgres.find_processes,
            ports={"POSTGRES_PORT": settings.POSTGRES_PORT},
        ),
        *(
            Part(
                name,
                partial(kafka.exec_broker, index, ("relay", "live", *CONSUMERS)),
                stop_stage=1,
                ready_seconds=120 if KAFKA.are_there() else 900,  # 900 s leave time for the download of the jars
                ports={
                    "KAFKA_PORT": settings.KAFKA_PORT + index,
                    "KAFKA_CONTROLLER_PORT": settings.KAFKA_CONTROLLER_PORT + index,
                },
            )
            for index, name in enumerate(brokers)
        ),
        Part(
            "valkey",
            valkey.exec_server,
            stop_stage=2,
            ports={"VALKEY_PORT": settings.VALKEY_PORT},
        ),
    ]


def _list_flink() -> list[Part]:
    seconds = 120 if FLINK.are_there() else 1800
    return [
        Part(
            "flink-jobs",
            flink.exec_job_manager,
            after=("database", "topics"),
            ready_seconds=seconds,
            ports={"FLINK_PORT": settings.FLINK_PORT, "FLINK_RPC_PORT": settings.FLINK_RPC_PORT},
        ),
        Part("flink-tasks", flink.exec_task_manager, after=("database", "topics"), ready_seconds=seconds),
        Part("flinkwatch", partial(run_command, WATCH_FLINK), after=("flink-jobs",), ready_seconds=seconds),
    ]


def _list_jobs(brokers: list[str]) -> list[Part]:
    return [
        Part("database", setup.prepare_database, after=("postgres",), is_job=True),
        Part(
            "topics",
            setup.prepare_kafka,
            after=tuple(brokers),
            is_job=True,
        ),
        Part("catalogue", setup.load_demo_data, after=("database",), is_job=True),
    ]


def run_command(command: str) -> None:
    """Run the Python program of the line `command` in this process, which has inherited all imports by the fork."""
    sys.argv = command.split()
    # The supervisor has read the settings under its own name: set the session's name to this program's.
    settings.DATABASES["default"]["OPTIONS"] |= describe_session(sys.argv)
    if settings.CREDENTIALS and "kafka" not in settings.OUTSIDE_PARTS:
        settings.RELAY["CLIENT_OPTIONS"] = settings.CREDENTIALS.describe_kafka_client(sys.argv)
    if sys.argv[0] == "manage.py":
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    elif sys.argv[0] == "celery":
        from celery.__main__ import main

        main()
    else:
        from granian.cli import entrypoint

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(MOST_FILES, most), most))
        multiprocessing.set_start_method("fork", force=True)  # workers inherit all imports
        entrypoint()  # type: ignore[no-untyped-call]


def import_programs() -> None:
    """Import the modules that the Python processes need, so that each process inherits them by the fork.

    The garbage collectors of the processes skip these objects and do not copy their pages.
    """
    from django.urls import get_resolver

    from relay.consumer.registry import all_consumers

    for module in _PROGRAMS:
        import_module(module)
    with suppress(ImportError):  # the consumer's own process reports the error
        all_consumers()
    get_resolver().url_patterns  # noqa: B018 - a cached property
    gc.collect()
    gc.freeze()
