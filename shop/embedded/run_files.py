"""Files in VAR_DIR/run, through which the supervisor and the `manage.py` commands communicate.

lock             locked while a supervisor lives
processes.json   all children, for the next supervisor
parts.json       state, pid and number of restarts of each part
stopped/<name>   the supervisor stops the part <name> and keeps it stopped while the file exists. A file with a number
                 ends at this time (seconds since the epoch): the supervisor deletes it then
ready            the addresses; exists from the moment that all parts are healthy until the stop
"""

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from shop.embedded.processes import wait_until, write_atomically

FOLDER = Path(settings.VAR_DIR) / "run"
PROCESSES = FOLDER / "processes.json"
PARTS = FOLDER / "parts.json"
READY = FOLDER / "ready"
STOPPED = FOLDER / "stopped"


class AnotherSupervisor(Exception):
    """Another supervisor already uses this VAR_DIR."""


class Lock:
    """Lock on VAR_DIR, held until `release` or the end of the process. The file contains the pid of its last holder.

    This is a record lock, because forked children inherit the locks of flock but not record locks.
    """

    def __init__(self, *, sign: bool = True) -> None:
        """Acquire the lock, and with `sign` write this process's pid into the file.

        :raises AnotherSupervisor: another process holds the lock.
        """
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._file = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        # `supervisor_lives` holds the lock for an instant, so wait before giving up.
        if not wait_until(self._take, seconds=0.5 if sign else 0):
            os.close(self._file)
            raise AnotherSupervisor(
                f"another `manage.py up` uses {settings.VAR_DIR}: stop it, or set VAR_DIR and PORT to run a second shop"
            )
        if sign:
            os.ftruncate(self._file, 0)
            os.write(self._file, str(os.getpid()).encode())

    def _take(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)


def supervisor_lives() -> bool:
    """Return whether a supervisor uses this VAR_DIR.

    Never call this in the supervisor's own process: closing the file would release the supervisor's lock.
    """
    if not FOLDER.exists():
        return False
    try:
        Lock(sign=False).release()
    except AnotherSupervisor:
        return True
    return False


def clear() -> None:
    """Delete the files of an earlier run: its stop files, its table of parts and its `ready` file."""
    STOPPED.mkdir(parents=True, exist_ok=True)
    for flag in STOPPED.iterdir():
        flag.unlink()
    PARTS.unlink(missing_ok=True)
    READY.unlink(missing_ok=True)


def read_stopped() -> set[str]:
    """Return the names of the parts that have a stop file."""
    with suppress(FileNotFoundError):
        return {flag.name for flag in STOPPED.iterdir()}
    return set()


def stop_until(name: str, until: float) -> None:
    """Let the supervisor stop the part `name`, and start it again at `until` (seconds since the epoch)."""
    unfinished = FOLDER / f".{name}.{os.getpid()}"
    unfinished.write_text(f"{until:.3f}")
    unfinished.replace(STOPPED / name)


def read_ends() -> dict[str, float]:
    """Return the end of each stop file that has one (seconds since the epoch), by the name of its part."""
    ends = {}
    for name in read_stopped():
        with suppress(FileNotFoundError, ValueError):
            ends[name] = float((STOPPED / name).read_text())
    return ends


def delete_ended() -> None:
    """Delete the stop files whose end has passed."""
    for name, until in read_ends().items():
        if time.time() >= until:
            (STOPPED / name).unlink(missing_ok=True)


def read_parts() -> dict[str, dict[str, Any]]:
    """Return the table of parts by name, each with `state`, `pid` and `restarts`; empty if there is no table."""
    try:
        table: dict[str, dict[str, Any]] = json.loads(PARTS.read_text())
    except FileNotFoundError:
        return {}
    return table


def write_parts(table: dict[str, dict[str, Any]]) -> None:
    """Replace the table of parts by `table`."""
    write_atomically(PARTS, table)
