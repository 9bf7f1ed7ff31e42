"""A shop with three brokers, what is done to them, and the processes that come and go beside it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.plugin import choose_port
from tests.running_shop import BASE_DIR, RunningShop

BROKERS = ["kafka-1", "kafka-2", "kafka-3"]
TOPIC = "shop.orders"


def make_cluster_shop() -> RunningShop:
    """A shop of its own with BROKERS=3 (replication 3, min.insync.replicas 2), from wheels alone, not started."""
    port = choose_port(9700)
    var_dir = Path(os.environ["VAR_DIR"])
    folder = var_dir.with_name(f"{var_dir.name}-brokers")
    return RunningShop(port=port, var_dir=folder, BROKERS="3", EMBEDDED="wheels")


def wait_until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for something to become true.

    :raises AssertionError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


class Cluster:
    """The three brokers of a running shop."""

    def __init__(self, shop: RunningShop) -> None:
        self.shop = shop
        self.servers = shop.addresses["kafka"].split(",")

    @contextmanager
    def admin(self) -> Iterator[Any]:
        """A client for what the brokers know of themselves."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers, bootstrap_timeout_ms=5000, request_timeout_ms=5000)
        try:
            yield admin
        finally:
            admin.close()

    def describe(self, topic: str = TOPIC, *, seconds: float = 90) -> list[dict[str, Any]]:
        """Every partition's number, leader and replicas in sync, asked again while a broker is away."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self.admin() as admin:
                    partitions: list[dict[str, Any]] = admin.describe_topics([topic])[0]["partitions"]
                return partitions
            except KafkaError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.3)

    def name_leader(self, topic: str = TOPIC, partition: int = 0) -> str:
        """The broker that leads a partition."""
        leaders = {found["partition_index"]: found["leader_id"] for found in self.describe(topic)}
        return f"kafka-{leaders[partition]}"

    def wait_until_in_sync(self, *, seconds: float = 180) -> None:
        """Wait until every partition of TOPIC has three replicas in sync: until then, another stop is an outage."""
        wait_until(
            lambda: all(len(partition["isr_nodes"]) == len(BROKERS) for partition in self.describe()),
            f"every replica of {TOPIC} is in sync",
            seconds,
        )

    def kill(self, broker: str) -> None:
        """kill -9; the supervisor starts it again."""
        before = self.shop.list_parts()[broker]["pid"]
        os.kill(before, signal.SIGKILL)

        def is_back() -> bool:
            part = self.shop.list_parts()[broker]
            return bool(part["state"] == "running" and part["pid"] != before)

        wait_until(is_back, f"{broker} is back", 180)
        self.wait_until_in_sync()

    def freeze(self, broker: str, seconds: float) -> None:
        """Stop the process for so long: its connections stay open, and nobody answers."""
        pid = self.shop.list_parts()[broker]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wait_until_in_sync()

    def restart_all(self) -> None:
        """A rolling restart, as an upgrade does it."""
        for broker in BROKERS:
            self.shop.part_stop(broker)
            self.shop.part_start(broker)
            self.wait_until_in_sync()


class Crowd:
    """Processes of these commands, of which one is killed and started again every few seconds."""

    def __init__(self, shop: RunningShop, commands: list[str], random: Random, *, every_seconds: float) -> None:
        self.kills = 0
        self._shop = shop
        self._random = random
        self._every = every_seconds
        self._processes = [(command, self._start(command)) for command in commands]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._kill_and_restart)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        running = [process for _, process in self._processes]
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)

    def _kill_and_restart(self) -> None:
        while not self._stopping.wait(self._random.uniform(0.5, 1.5) * self._every):
            index = self._random.randrange(len(self._processes))
            command, process = self._processes[index]
            process.kill()
            process.wait()
            self.kills += 1
            self._processes[index] = (command, self._start(command))

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self._shop.screen.open("ab") as screen:
            return subprocess.Popen(
                [sys.executable, "manage.py", command],
                cwd=BASE_DIR,
                env=self._shop.environment,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )
