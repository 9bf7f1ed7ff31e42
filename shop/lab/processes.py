"""The processes of a run: the synchronous shop with its services, the customers, and broken or late consumers.

They are children of the lab's process and in its session, so the supervisor ends all of them when it dies.
"""

import signal
import socket
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from django.conf import settings
from django.db import connection

from shop.embedded.processes import wait_until
from shop.lab.seed.queue import run_queue
from shop.lab.seed.services import SECONDS, run_service
from shop.lab.seed.shop import run_shop

_STOP_SECONDS = 15.0


def find_ports() -> dict[str, int]:
    """Return the port of each process of the synchronous shop, derived from PORT."""
    first = settings.PARTS_PORT
    return {
        **{"shop": first + 12, "inventory": first + 13, "payments": first + 14, "email": first + 15},
        **{"analytics": first + 5, "queue": first + 6},
    }


def fork(target: Callable[..., None], *arguments: object) -> BaseProcess:
    """Run `target` in a child process that ends with this process."""
    process = get_context("fork").Process(target=_run, args=(target, *arguments), daemon=True)
    process.start()
    return process


def _run(target: Callable[..., None], *arguments: object) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    connection.connection = None  # the parent's; psycopg does not close it in a child
    target(*arguments)


def end(process: BaseProcess) -> None:
    """Stop a child; kill it after _STOP_SECONDS."""
    process.terminate()
    process.join(_STOP_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


class SeedShop:
    """The running synchronous shop, and with `queue_rate` also its variant with a retry queue."""

    def __init__(self, factor: int, run_id: int, queue_rate: float = 0.0) -> None:
        """Set the time factor, the run, and the arrivals per real second of the variant."""
        self.ports = find_ports()
        self._factor = factor
        service_ports = {name: self.ports[name] for name in SECONDS}
        self._starts: dict[str, tuple[Callable[..., None], tuple[object, ...]]] = {
            **{name: (run_service, (name, self.ports[name], factor)) for name in SECONDS},
            "shop": (run_shop, (self.ports["shop"], service_ports, factor)),
        }
        if queue_rate:
            self._starts["queue"] = (run_queue, (self.ports["queue"], self.ports["inventory"], queue_rate, run_id))
        self._processes: dict[str, BaseProcess] = {}

    def start(self) -> None:
        """Start all processes and wait until they listen.

        :raises RuntimeError: a process does not listen, for example because its port is taken.
        """
        for name in self._starts:
            self.start_part(name)
        for name in self._starts:
            if not wait_until(lambda name=name: _listens(self.ports[name]), seconds=15):  # type: ignore[misc]
                raise RuntimeError(f"{name} of the synchronous shop does not listen on port {self.ports[name]}")

    def start_part(self, name: str) -> None:
        """Start a process unless it runs."""
        if name not in self._processes:
            target, arguments = self._starts[name]
            self._processes[name] = fork(target, *arguments)

    def deploy_bug(self, *, has_bug: bool) -> None:
        """Deploy e-mail with a bug, or without it."""
        self.stop_part("email")
        self._starts["email"] = (run_service, ("email", self.ports["email"], self._factor, has_bug))
        self.start_part("email")

    def stop_part(self, name: str) -> None:
        """Kill a process, as an outage does."""
        if process := self._processes.pop(name, None):
            process.kill()
            process.join()

    def stop(self) -> None:
        """Kill all processes."""
        for name in list(self._processes):
            self.stop_part(name)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
