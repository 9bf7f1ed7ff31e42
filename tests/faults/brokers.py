"""A shop with three brokers, faults of the brokers, and additional processes that are killed and restarted."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.plugin import choose_port
from tests.prefork import Prefork
from tests.running_shop import RunningShop

BROKERS = ["kafka-1", "kafka-2", "kafka-3"]
TOPIC = "shop.orders"


def make_cluster_shop() -> RunningShop:
    """Return a separate shop with BROKERS=3 (replication 3, min.insync.replicas 2), from wheels only, not started."""
    port = choose_port(9700)
    var_dir = Path(os.environ["VAR_DIR"])
    folder = var_dir.with_name(f"{var_dir.name}-brokers")
    return RunningShop(port=port, var_dir=folder, BROKERS="3", EMBEDDED="wheels", SECURE="0")


def wait_until(reached: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until `reached` returns true.

    :raises AssertionError: `reached` returns false for `seconds`. The message contains `what`.
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
        """Yield an admin client of the brokers."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers, bootstrap_timeout_ms=5000, request_timeout_ms=5000)
        try:
            yield admin
        finally:
            admin.close()

    def describe(self, topic: str = TOPIC, *, seconds: float = 90) -> list[dict[str, Any]]:
        """Return each partition's number, leader and in-sync replicas. Retry for `seconds` while a broker is away."""
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
        """Return the name of the broker that leads a partition."""
        leaders = {found["partition_index"]: found["leader_id"] for found in self.describe(topic)}
        return f"kafka-{leaders[partition]}"

    def wait_until_in_sync(self, *, seconds: float = 180) -> None:
        """Wait until each partition of TOPIC has three in-sync replicas. Before, a second fault would be an outage."""
        wait_until(
            lambda: all(len(partition["isr_nodes"]) == len(BROKERS) for partition in self.describe()),
            f"every replica of {TOPIC} is in sync",
            seconds,
        )

    def kill(self, broker: str) -> None:
        """Kill a broker with SIGKILL and wait until the supervisor has restarted it."""
        before = self.shop.list_parts()[broker]["pid"]
        os.kill(before, signal.SIGKILL)

        def is_back() -> bool:
            part = self.shop.list_parts()[broker]
            return bool(part["state"] == "running" and part["pid"] != before)

        wait_until(is_back, f"{broker} is back", 180)
        self.wait_until_in_sync()

    def freeze(self, broker: str, seconds: float) -> None:
        """Suspend a broker for `seconds`: its connections stay open without answers."""
        pid = self.shop.list_parts()[broker]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.wait_until_in_sync()

    def restart_all(self) -> None:
        """Restart the brokers one after another, as in an upgrade."""
        for broker in BROKERS:
            self.shop.part_stop(broker)
            self.shop.part_start(broker)
            self.wait_until_in_sync()


class Member:
    """A process of `command` that is killed and restarted. It is forked from a process that has loaded Django."""

    def __init__(self, shop: RunningShop, command: str) -> None:
        self._shop = shop
        self._command = command
        self._prefork = Prefork(shop.environment)
        self._executor = ThreadPoolExecutor(1)
        self.start()

    def start(self) -> None:
        """Start the process."""
        self._ended = self._executor.submit(self._run)

    def send(self, signum: signal.Signals) -> None:
        """Send `signum` to the process."""
        wait_until(lambda: bool(self._prefork.find_children()), f"{self._command} runs", 60)
        self._prefork.find_children()[0].send_signal(signum)

    def wait(self) -> None:
        """Wait until the process has ended."""
        self._ended.result(60)

    def close(self) -> None:
        """Wait until the process has ended, and end the process that has loaded Django."""
        try:
            self.wait()
        finally:
            self._prefork.close()
            self._executor.shutdown()

    def _run(self) -> None:
        result = self._prefork.run(self._command, timeout=1200)
        with self._shop.screen.open("a") as screen:
            screen.write(result.stdout + result.stderr)


class Crowd:
    """Processes of `commands`. One of them is killed and restarted about every `every_seconds`."""

    def __init__(self, shop: RunningShop, commands: list[str], random: Random, *, every_seconds: float) -> None:
        self.kills = 0
        self._random = random
        self._every = every_seconds
        self._members = [Member(shop, command) for command in commands]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._kill_and_restart)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        with ExitStack() as ends:
            for member in self._members:
                ends.callback(member.close)
            for member in self._members:
                member.send(signal.SIGTERM)

    def _kill_and_restart(self) -> None:
        while not self._stopping.wait(self._random.uniform(0.5, 1.5) * self._every):
            member = self._random.choice(self._members)
            member.send(signal.SIGKILL)
            member.wait()
            self.kills += 1
            member.start()
