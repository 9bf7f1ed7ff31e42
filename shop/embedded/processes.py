"""Child processes: each in a session of its own, written down before it runs, and ended with everything it started.

What a supervisor that was killed has left behind is found again by number and time of birth, so never mistaken.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

#: What a child exits with when trying again would not help: its message is the last thing it printed.
CANNOT_START = 78
# Not SIGPIPE, which Python ignores: a client that hangs up before its answer would end the process that sends it.
_RESTORED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class CannotStart(Exception):
    """A part can't start, and would not however often it were tried. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process. `born` tells it from a later one that got the same number; `output` is its log's read end."""

    pid: int
    born: float
    output: int


def start_child(name: str, run: Callable[[], None], record: Callable[[int, float], None]) -> Child:
    """Fork a child that leads a new session and calls `run`, which may replace the process.

    `record` is called with the child's number and time of birth before the child does anything: a supervisor that is
    killed at any moment leaves no child that nobody knows of.
    """
    output, child_output = os.pipe()
    leave, permission = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(permission)
        _become_child(name, child_output, leave, run)
    os.close(child_output)
    os.close(leave)
    os.set_blocking(output, False)
    born = psutil.Process(pid).create_time()
    record(pid, born)
    os.write(permission, b"1")
    os.close(permission)
    return Child(pid, born, output)


def _become_child(name: str, output: int, leave: int, run: Callable[[], None]) -> None:
    """Never returns."""
    code = 1
    try:
        _detach()
        if os.read(leave, 1) != b"1":
            os._exit(0)
        _redirect(output)
        with suppress(OSError):
            Path("/proc/self/comm").write_text(name)
        run()
        code = 0
    except CannotStart as error:
        print(error, flush=True)
        code = CANNOT_START
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _detach() -> None:
    """Lead a new session, with no signal handler of the supervisor's."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for signum in _RESTORED_SIGNALS:
        signal.signal(signum, signal.SIG_DFL)


def _redirect(output: int) -> None:
    """Print to the pipe `output`, read nothing, and hold no other file open."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Above all the others' read ends: whoever holds one lets a log fill up that nobody reads.
    os.closerange(3, 4096)
    # Whatever these were before: a test's captured ones are closed by now.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def find_session(leader: int, born: float) -> list[psutil.Process]:
    """Return what is alive of the session that the process `leader`, born at `born`, began, with all descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["create_time"]):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.info["create_time"] >= born - 1:
                found[process.pid] = process
                found.update((child.pid, child) for child in process.children(recursive=True))
    return [process for process in found.values() if is_alive(process)]


def kill_all(processes: Iterable[psutil.Process], *, seconds: float = 5) -> None:
    """Kill `processes` and wait up to `seconds` until they are gone."""
    doomed = list(processes)
    for process in doomed:
        with suppress(psutil.Error):
            process.kill()
    wait_until(lambda: not any(map(is_alive, doomed)), seconds=seconds)


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs. A dead one that its parent has not asked after does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_atomically(path: Path, content: object) -> None:
    """Replace the file `path` by `content` as JSON; a reader sees the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.replace(path)


class ProcessRecord:
    """The file that names every child, by which the next supervisor finds what this one left behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._children: dict[str, tuple[int, float]] = {}

    def add(self, name: str, pid: int, born: float) -> None:
        """Write down a child before it runs."""
        self._children[name] = (pid, born)
        write_atomically(self._path, self._children)

    def end_leftovers(self, also: Callable[[], list[psutil.Process]], *, seconds: float = 5) -> list[str]:
        """End what a former supervisor's children and `also()` are still running, and return the children's names.

        Asks with SIGTERM first and kills after `seconds`.
        """
        try:
            former = json.loads(self._path.read_text())
        except (OSError, ValueError):
            former = {}
        sessions = {name: find_session(pid, born) for name, (pid, born) in former.items()}
        processes = {process.pid: process for session in (*sessions.values(), also()) for process in session}
        for process in processes.values():
            with suppress(psutil.Error):
                # SIGINT is PostgreSQL's fast shutdown; its SIGTERM would wait for every client.
                process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        wait_until(lambda: not any(map(is_alive, processes.values())), seconds=seconds)
        kill_all(filter(is_alive, processes.values()))
        kill_all(also())
        self._path.unlink(missing_ok=True)
        return [name for name, session in sessions.items() if session] or (["postgres"] if processes else [])


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Look every 50 ms whether `condition` holds; false when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
