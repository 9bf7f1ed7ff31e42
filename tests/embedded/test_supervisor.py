"""The supervisor with parts that misbehave. It runs in a separate process, because it installs signal handlers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shop.embedded.health import ReportLog
from shop.embedded.logs import PartLog
from shop.embedded.part_process import PartProcess
from shop.embedded.parts import Part
from tests.running_shop import BASE_DIR

PROGRAM = """
import os, signal, sys, time
import django
django.setup()
from shop.embedded import run_files
from shop.embedded.parts import Part
from shop.embedded.processes import ProcessRecord, wait_until
from shop.embedded.supervisor import StartFailed, Supervisor

def sleep(): print("still asleep"); time.sleep(60)
def crash(): print("about to crash"); sys.exit(3)
def ignore(): signal.signal(signal.SIGTERM, signal.SIG_IGN); print("not listening"); time.sleep(60)
def note(word): print("note", word)
def job(word): return Part(word, lambda: note(word), is_job=True)
def switch():
    state = lambda: run_files.read_parts()["sleeper"]["state"]
    run_files.stop_until("sleeper", time.time() + 2)
    print("off", wait_until(lambda: state() == "stopped", seconds=30))
    print("on", wait_until(lambda: state() == "starting", seconds=30), run_files.read_stopped())
    stop()
def stop(): os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)

run_files.FOLDER.mkdir(parents=True)
run_files.clear()
try:
    Supervisor([{parts}], ProcessRecord(run_files.PROCESSES)).run(meanwhile=list, when_ready=lambda: print("READY"))
except StartFailed as error:
    print("FAILED", error)
"""


def supervise(parts: str, folder: Path) -> str:
    """Run a supervisor with `parts`, a Python expression, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{parts}", parts)],
        cwd=BASE_DIR,
        env={**os.environ, "VAR_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_part_that_is_not_healthy_in_time_is_named_with_its_last_lines(tmp_path: Path) -> None:
    printed = supervise('Part("sleepy", sleep, ready_seconds=1)', tmp_path)
    assert "FAILED sleepy is not healthy after 1 s. Its last output:\n    still asleep" in printed
    assert "READY" not in printed


def test_a_crash_loop_gets_longer_pauses_and_is_shown(tmp_path: Path) -> None:
    printed = supervise('Part("clumsy", crash, ready_seconds=2)', tmp_path)
    assert "clumsy ended with code 3: starts again in 0.5 s" in printed
    assert "clumsy ended with code 3: starts again in 1 s" in printed
    assert "FAILED clumsy is not healthy after 2 s" in printed


def test_a_part_that_does_not_listen_is_killed_after_its_time(tmp_path: Path) -> None:
    printed = supervise('Part("deaf", ignore, ready_seconds=1, stop_seconds=0.5)', tmp_path)
    assert printed.rstrip().endswith("not listening")
    assert "all parts are stopped" in printed


def test_jobs_run_in_order_and_parts_that_run_elsewhere_count_as_ready(tmp_path: Path) -> None:
    second = 'Part("second", lambda: note(2), after=("first", "elsewhere"), is_job=True)'
    printed = supervise(f'job("first"), {second}, Part("third", stop, after=("second",))', tmp_path)
    assert printed.index("note first") < printed.index("note 2") < printed.index("stopping")
    table: dict[str, Any] = json.loads((tmp_path / "run" / "parts.json").read_text())
    assert table == {"third": {"state": "stopped", "pid": None, "restarts": 0}}


@pytest.fixture
def part_log(tmp_path: Path, settings: Any) -> Iterator[PartLog]:
    settings.VAR_DIR = tmp_path
    with closing(PartLog("web", number=0)) as log:
        yield log


def test_the_pause_before_a_restart_doubles_up_to_half_a_minute_and_resets(part_log: PartLog) -> None:
    process = PartProcess(Part("web", lambda: None), part_log)
    process.started_at = float("inf")  # it never ran long
    pauses = []
    for _crash in range(9):
        pauses.append(process._pause)
        process._pause_after_crash(1)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    process.started_at = float("-inf")  # it ran for long
    process._pause_after_crash(1)
    assert process._pause == 1.0


def test_a_log_keeps_the_former_run_and_whole_lines(part_log: PartLog, tmp_path: Path, capfd: Any) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"one\ntw")
    assert part_log.read(reader)
    os.write(writer, "o ünd\n\n".encode() + b"\xff the end")
    os.close(writer)
    assert not part_log.read(reader)
    os.close(reader)
    assert list(part_log.last_lines) == ["one", "two ünd", "\ufffd the end"]
    assert "web           | two ünd" in capfd.readouterr().out
    with closing(PartLog("web", number=0)) as following:
        following.take("the next run")
    assert (tmp_path / "log" / "web.log.1").read_text().splitlines() == ["one", "two ünd", "\ufffd the end"]
    assert (tmp_path / "log" / "web.log").read_text() == "the next run\n"


def test_only_a_health_check_after_its_start_makes_a_part_healthy(tmp_path: Path, settings: Any) -> None:
    settings.VAR_DIR = tmp_path
    with closing(ReportLog()) as reports:
        reports.take(json.dumps({"began": 100.0, "answering": ["web"], "ages": {"relay": 5.0}}))
    assert reports.is_well("web", since=99.0)
    assert not reports.is_well("web", since=101.0)
    assert reports.is_well("relay", since=94.0)
    assert not reports.is_well("relay", since=96.0)
    assert not reports.is_well("orders", since=0.0)


def test_a_stop_with_an_end_ends_without_the_process_that_wanted_it(tmp_path: Path) -> None:
    lines = supervise('Part("sleeper", sleep), Part("switch", switch)', tmp_path)
    assert "off True" in lines
    assert "on True set()" in lines
