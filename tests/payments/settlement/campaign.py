"""A campaign: many payments through a gateway process that is killed and restarted repeatedly."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings
from django.db import connections

ROOT = Path(__file__).resolve().parents[3]
#: Longer than the client's read timeout, in seconds.
READ_SECONDS, HANG_SECONDS = 0.3, 0.5


class GatewayProcess:
    """The sandbox gateway under Granian, with its ledger in the test database."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{self._address}"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def __enter__(self) -> "GatewayProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the gateway and wait until it answers.

        :raises AssertionError: the gateway does not answer in time. The message is its log.
        """
        database = settings.DATABASES["default"]
        address = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        host, _, port = self._address.rpartition(":")
        options = ["--interface", "wsgi", "--host", host, "--port", port, "--blocking-threads", "32"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "granian", *options, "payments.sandbox.wsgi:application"],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": address, "SANDBOX_HANG_SECONDS": str(HANG_SECONDS)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(URLError, OSError):
            return bool(urlopen(f"{self.url}/healthz", timeout=1).status == 200)
        return False

    def kill(self) -> None:
        """Kill all processes of the gateway with SIGKILL."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.kills += 1


@contextmanager
def repeat(*jobs: Callable[[], object], pause: float = 0.0) -> Iterator[None]:
    """Repeat each of `jobs` in its own thread until the block ends, then raise the first error of a job."""
    stop, raised = threading.Event(), []

    def run(job: Callable[[], object]) -> None:
        try:
            while not stop.wait(pause):
                job()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if raised:
        raise raised[0]


def disturb(gateway: GatewayProcess, chance: random.Random, most: int) -> None:
    """Let the gateway run for a random time, then kill and restart it unless it was killed `most` times before."""
    time.sleep(chance.uniform(0.2, 2.0))
    if gateway.kills >= most:
        return
    gateway.kill()
    time.sleep(chance.uniform(0, 0.5))
    gateway.start()
