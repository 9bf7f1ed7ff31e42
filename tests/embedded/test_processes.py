"""Child processes are recorded before they run, and end together with their descendants."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from shop.embedded.processes import (
    CANNOT_START,
    CannotStart,
    ProcessRecord,
    find_session,
    kill_all,
    start_child,
    wait_until,
)


def run_child(
    run: Callable[[], None], record: Callable[[int, float], None] = lambda _pid, _born: None
) -> tuple[int, str]:
    """Start a child as the supervisor does, and return its exit code and its output."""
    child = start_child("child", run, record)
    os.set_blocking(child.output, True)
    with os.fdopen(child.output) as output:
        printed = output.read()
    _pid, status = os.waitpid(child.pid, 0)
    return os.waitstatus_to_exitcode(status), printed


def say_hello() -> None:
    print("hello")
    sys.exit(3)


def fail_for_good() -> None:
    raise CannotStart("set PORT to another port")


def crash() -> None:
    raise ZeroDivisionError


def test_a_childs_output_and_exit_code_are_known() -> None:
    assert run_child(say_hello) == (3, "hello\n")


def test_a_part_that_can_not_start_says_why_and_has_an_exit_code_of_its_own() -> None:
    assert run_child(fail_for_good) == (CANNOT_START, "set PORT to another port\n")


def test_a_crash_leaves_its_traceback_in_the_log() -> None:
    code, printed = run_child(crash)
    assert code == 1
    assert "ZeroDivisionError" in printed


def hang_up() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    try:
        ours.sendall(b"an answer that nobody waits for")
    except BrokenPipeError:
        print("still alive")


def test_a_child_outlives_a_connection_whose_other_end_has_gone() -> None:
    assert run_child(hang_up) == (0, "still alive\n")


def test_a_child_is_recorded_before_it_does_anything(tmp_path: Path) -> None:
    trace, seen = tmp_path / "ran", []

    def record(pid: int, born: float) -> None:
        time.sleep(0.2)
        seen.append((psutil.Process(pid).create_time() == born, trace.exists()))

    assert run_child(trace.touch, record) == (0, "")
    assert seen == [(True, False)]
    assert trace.exists()


def test_a_child_that_nobody_recorded_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    supervisor = os.fork()
    if supervisor == 0:
        start_child("child", trace.touch, lambda _pid, _born: os.kill(os.getpid(), signal.SIGKILL))
    _pid, status = os.waitpid(supervisor, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    time.sleep(0.2)
    assert not trace.exists()


def start_session() -> tuple[subprocess.Popen[bytes], float]:
    """Start a process that leads a session with two children, and return it with its time of birth."""
    leader = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True)
    assert wait_until(lambda: len(psutil.Process(leader.pid).children()) == 2, seconds=30)
    return leader, psutil.Process(leader.pid).create_time()


def test_a_session_is_found_when_its_leader_is_dead() -> None:
    leader, born = start_session()
    leader.kill()
    leader.wait()
    left = find_session(leader.pid, born)
    assert len(left) == 2
    kill_all(left)
    assert find_session(leader.pid, born) == []


def test_a_pid_that_belongs_to_an_older_process_is_ignored() -> None:
    leader, born = start_session()
    try:
        assert find_session(leader.pid, born + 60) == []
    finally:
        kill_all(find_session(leader.pid, born))
        leader.wait()


# Creates a file on SIGTERM, and then exits if the second argument is "polite".
STUBBORN = """
import signal, sys, time
def hear(signum, frame):
    open(sys.argv[1], "w").close()
    if sys.argv[2] == "polite":
        sys.exit()
signal.signal(signal.SIGTERM, hear)
print(flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize("manner", ["polite", "stubborn"])
def test_leftovers_get_sigterm_then_sigkill_and_are_named(tmp_path: Path, manner: str) -> None:
    asked = tmp_path / "asked"
    leader = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(asked), manner], start_new_session=True, stdout=subprocess.PIPE
    )
    assert leader.stdout
    with leader.stdout as output:
        output.readline()
    record = ProcessRecord(tmp_path / "processes.json")
    record.add("web", leader.pid, psutil.Process(leader.pid).create_time())
    record.add("relay", 2**22 + 1, 0.0)

    assert ProcessRecord(tmp_path / "processes.json").end_leftovers(list, seconds=2) == ["web"]

    assert asked.exists()
    assert leader.wait(0) == (0 if manner == "polite" else -signal.SIGKILL)
    assert ProcessRecord(tmp_path / "processes.json").end_leftovers(list) == []


def test_an_unreadable_record_does_not_prevent_a_start(tmp_path: Path) -> None:
    (tmp_path / "processes.json").write_text(json.dumps(["half"])[:-1])
    assert ProcessRecord(tmp_path / "processes.json").end_leftovers(list) == []
    assert list(tmp_path.iterdir()) == []
