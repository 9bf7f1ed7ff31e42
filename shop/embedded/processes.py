"""Child processes: each leads its own session, is recorded before it runs, and ends together with its descendants.

After a supervisor was killed, the next supervisor finds the children by pid and time of birth. Another process that has
reused a pid is never mistaken for a child.
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

#: Exit code of a child that a restart would not help. The last line of its output is the reason.
CANNOT_START = 78
# SIGPIPE is not among them: with its default action, a client that closes its connection would end the process.
_RESTORED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class CannotStart(Exception):
    """A part can't start, and a restart would not help. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Child:
    """A started process. `born` (seconds since the epoch) identifies it if its pid is reused.

    `output` is the read end of the pipe that the process prints to.
    """

    pid: int
    born: float
    output: int


def start_child(name: str, run: Callable[[], None], record: Callable[[int, float], None]) -> Child:
    """Fork a child that leads a new session and calls `run`, and return it. `run` may replace the process.

    `record` receives the child's pid and time of birth before the child runs `run`. The record is therefore complete
    even if the supervisor is killed at any moment.
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
    """Wait for the permission byte on the pipe `leave`, then call `run`. Never returns."""
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
    """Lead a new session, and remove the supervisor's signal handlers."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for signum in _RESTORED_SIGNALS:
        signal.signal(signum, signal.SIG_DFL)


def _redirect(output: int) -> None:
    """Redirect stdout and stderr to the pipe `output` and stdin to /dev/null, and close all other files."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # Close the read ends of the other parts' pipes: a pipe stays open as long as any process holds its read end.
    os.closerange(3, 4096)
    # Replace both streams, because pytest's captured ones are closed now.
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def find_session(leader: int, born: float) -> list[psutil.Process]:
    """Return the live processes of the session that `leader` (a pid) started at `born`, with all descendants."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["create_time"]):
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.info["create_time"] >= born - 1:
                found[process.pid] = process
                found.update((child.pid, child) for child in process.children(recursive=True))
    return [process for process in found.values() if is_alive(process)]


def kill_all(processes: Iterable[psutil.Process], *, seconds: float = 5) -> None:
    """Kill `processes` and wait at most `seconds` until they have ended."""
    doomed = list(processes)
    for process in doomed:
        with suppress(psutil.Error):
            process.kill()
    wait_until(lambda: not any(map(is_alive, doomed)), seconds=seconds)


def is_alive(process: psutil.Process) -> bool:
    """Return whether `process` still runs. A zombie does not run."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_atomically(path: Path, content: object) -> None:
    """Write `content` as JSON to the file `path`. A reader sees the complete old or the complete new content."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1))
    unfinished.replace(path)


class ProcessRecord:
    """The file that lists all children. The next supervisor uses it to end the children of a killed supervisor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._children: dict[str, tuple[int, float]] = {}

    def add(self, name: str, pid: int, born: float) -> None:
        """Record a child before it runs."""
        self._children[name] = (pid, born)
        write_atomically(self._path, self._children)

    def end_leftovers(self, also: Callable[[], list[psutil.Process]], *, seconds: float = 5) -> list[str]:
        """End the remaining children of a previous supervisor and the processes that `also()` returns.

        Send SIGTERM first (SIGINT to PostgreSQL), and kill after `seconds`. Return the names of the ended children.
        """
        try:
            former = json.loads(self._path.read_text())
        except (OSError, ValueError):
            former = {}
        sessions = {name: find_session(pid, born) for name, (pid, born) in former.items()}
        processes = {process.pid: process for session in (*sessions.values(), also()) for process in session}
        for process in processes.values():
            with suppress(psutil.Error):
                # SIGINT is PostgreSQL's fast shutdown. On SIGTERM it would wait for all clients.
                process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
        wait_until(lambda: not any(map(is_alive, processes.values())), seconds=seconds)
        kill_all(filter(is_alive, processes.values()))
        kill_all(also())
        self._path.unlink(missing_ok=True)
        return [name for name, session in sessions.items() if session] or (["postgres"] if processes else [])


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Poll `condition` every 50 ms until it holds. Return False if it does not hold within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
