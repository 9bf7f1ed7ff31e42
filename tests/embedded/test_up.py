"""`manage.py up` as a process: start, kill, stop and refused starts. Most tests run only PostgreSQL and Valkey."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shop.embedded.postgres import name_temporary_folder
from shop.embedded.processes import is_alive, wait_until
from tests.plugin import choose_port
from tests.prefork import run_manage
from tests.running_shop import RunningShop

SMALL = ("postgres", "valkey")


@pytest.fixture(scope="module")
def port() -> int:
    return choose_port(9100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small") / "var"


@pytest.fixture(scope="module")
def shared_shop(port: int, folder: Path) -> Iterator[RunningShop]:
    """A shop of PostgreSQL and Valkey that the tests share. Afterwards, no process of it may be left."""
    shop = RunningShop(port, folder, only=SMALL)
    yield shop
    shop.stop()
    assert find_processes(folder) == []
    shop.end_leftovers()  # PostgreSQL's data may lie outside the folder


@pytest.fixture
def small_shop(shared_shop: RunningShop) -> RunningShop:
    """The shared shop, running."""
    if not shared_shop.ready_file.exists():
        shared_shop.start(90)
    return shared_shop


def run_up(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py up`, which is expected to refuse, and return the ended process."""
    return run_manage("up", *arguments, environment={**os.environ, **environment})


def list_processes(shop: RunningShop) -> list[psutil.Process]:
    """Return the processes of all parts and their descendants."""
    parts = [psutil.Process(row["pid"]) for row in shop.list_parts().values()]
    assert len(parts) == len(SMALL)
    return [process for part in parts for process in (part, *part.children(recursive=True))]


def find_processes(folder: Path) -> list[str]:
    """Return the processes whose working directory or command line contains `folder` or PostgreSQL's data folder."""
    data = str(name_temporary_folder(str(folder / "postgres")))
    found = []
    for process in psutil.process_iter(["name", "cwd", "cmdline"]):
        words = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if any(str(folder) in word or word.startswith(data) for word in words) and is_alive(process):
            found.append(f"{process.pid} {process.info['name']}")
    return found


def test_a_second_supervisor_is_refused_and_disturbs_nothing(small_shop: RunningShop) -> None:
    before = small_shop.list_parts()
    second = small_shop.manage("up")
    assert second.returncode == 1
    assert "another `manage.py up` uses" in second.stderr
    assert "VAR_DIR" in second.stderr
    refused = small_shop.manage("reset")
    assert refused.returncode == 1
    assert "nothing was removed" in refused.stderr
    assert small_shop.list_parts() == before


def test_a_crashed_part_and_all_of_its_processes_are_replaced(small_shop: RunningShop) -> None:
    before = small_shop.list_parts()["postgres"]
    backends = psutil.Process(before["pid"]).children()
    assert backends
    small_shop.part_kill("postgres")

    def is_back() -> bool:
        now = small_shop.list_parts()["postgres"]
        return bool(now["state"] == "running" and now["pid"] != before["pid"])

    assert wait_until(is_back, seconds=30)
    assert small_shop.list_parts()["postgres"]["restarts"] == 1
    assert small_shop.list_parts()["valkey"]["restarts"] == 0
    assert not any(map(is_alive, backends))
    assert "postgres was ended by SIGKILL: starts again in 0.5 s" in small_shop.screen.read_text()


def test_a_stopped_part_stays_stopped_until_part_start(small_shop: RunningShop) -> None:
    small_shop.part_stop("valkey")
    time.sleep(1)
    listed = {row["name"]: row for row in json.loads(small_shop.manage("part", "list", "--json").stdout)}
    assert listed["valkey"] == {
        "name": "valkey",
        "state": "stopped",
        "pid": None,
        "restarts": listed["valkey"]["restarts"],
    }
    small_shop.part_start("valkey")
    assert small_shop.list_parts()["valkey"]["state"] == "running"
    unknown = small_shop.manage("part", "stop", "elephant")
    assert unknown.returncode == 1
    assert "unknown part 'elephant': choose one of postgres, valkey" in unknown.stderr


def test_the_next_supervisor_ends_the_processes_of_a_killed_one(small_shop: RunningShop) -> None:
    left = list_processes(small_shop)
    small_shop.kill_supervisor()
    assert all(map(is_alive, left))

    small_shop.start(90)

    printed = small_shop.screen.read_text()
    assert "a killed supervisor: postgres, valkey" in printed
    assert not any(map(is_alive, left))
    assert {row["state"] for row in small_shop.list_parts().values()} == {"running"}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_order_and_leaves_nothing(small_shop: RunningShop, signum: signal.Signals) -> None:
    processes = list_processes(small_shop)
    assert any("postgres" in found for found in find_processes(small_shop.var_dir))
    assert small_shop.stop(30, signum=signum) == 0
    assert not any(map(is_alive, processes))
    assert find_processes(small_shop.var_dir) == []
    assert not small_shop.ready_file.exists()
    assert small_shop.screen.read_text().splitlines()[-1].endswith("all parts are stopped")
    assert "database system is shut down" in (small_shop.var_dir / "log" / "postgres.log").read_text()
    asked = small_shop.manage("part", "list")
    assert asked.returncode == 1
    assert "no `manage.py up` uses" in asked.stderr


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    port = choose_port(9700)  # not the port of the shared shop
    shop = RunningShop(port, tmp_path / "var", only=SMALL, VALKEY_PORT=str(port))
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a shop of another test may have used the port
        taker.bind(("127.0.0.1", port))
        taker.listen()
        with pytest.raises(AssertionError, match="ended with code 1") as refusal:
            shop.start(60)
    message = str(refusal.value)
    assert f"port {port}, which valkey needs, is taken" in message
    assert "set VALKEY_PORT to another port" in message
    assert not (tmp_path / "var" / "postgres").exists()


def test_jars_that_were_tampered_with_are_never_run(port: int, tmp_path: Path) -> None:
    from shop.embedded.jars import KAFKA

    os.environ["XDG_CACHE_HOME"], before = str(tmp_path), os.environ.get("XDG_CACHE_HOME")
    try:
        KAFKA.folder.mkdir(parents=True)
        with pytest.raises(AssertionError, match="SHA-256") as refusal:
            RunningShop(port, tmp_path / "var", only=("kafka",)).start(60)
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before
    assert "kafka can't start" in str(refusal.value)
    assert "Delete that folder" in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "abc", "PORT='abc' is not a port: give a number from 1 to 65535"),
        ("BROKERS", "2", "BROKERS='2' is not one of '1', '3'"),
        ("EMBEDDED", "x", "EMBEDDED='x' is not one of 'system', 'wheels'"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none", "DATABASE_URL names a postgres that does not answer"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "KAFKA_BOOTSTRAP_SERVERS names a kafka that does not answer"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1:1/0", "CELERY_BROKER_URL names a valkey that does not answer"),
    ],
)
def test_a_bad_environment_variable_is_named(tmp_path: Path, variable: str, value: str, message: str) -> None:
    # Not the ports of the shared shop: its PostgreSQL may be up, and a port in use is reported first.
    refused = run_up(**{"PORT": str(choose_port(9700)), "VAR_DIR": str(tmp_path / "var"), variable: value})
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_part_is_named(port: int, tmp_path: Path) -> None:
    refused = run_up("--only", "postgres", "elephant", PORT=str(port), VAR_DIR=str(tmp_path / "var"))
    assert refused.returncode == 1
    assert "unknown part elephant" in refused.stderr
