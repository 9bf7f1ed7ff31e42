"""VAR_DIR/run: how one supervisor keeps others out, tells what it runs, and is told which parts to stop.

lock             held as long as a supervisor lives
processes.json   every child, for the next supervisor
parts.json       state, process number and restarts of every part
stopped/<name>   this part is to be stopped for as long as the file exists
ready            the addresses; exists while everything has become healthy
"""

import fcntl
import json
import os
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
    """A supervisor lives on this VAR_DIR already."""


class Lock:
    """Held until the process ends. A record lock: unlike flock's, it does not pass to forked children.

    The file holds the process number of its last holder.
    """

    def __init__(self, *, sign: bool = True) -> None:
        """Take it, and `sign` it with the process number.

        :raises AnotherSupervisor: it is taken.
        """
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._file = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        # Whoever only asks holds it for an instant.
        if not wait_until(self._take, seconds=0.5 if sign else 0):
            os.close(self._file)
            raise AnotherSupervisor(
                f"another `manage.py up` runs on {settings.VAR_DIR}: stop it, or set VAR_DIR and PORT for a second copy"
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
        """Let others in."""
        os.close(self._file)


def supervisor_lives() -> bool:
    """Whether a supervisor holds this VAR_DIR. Must not be asked inside the supervisor: it would let go of the lock."""
    if not FOLDER.exists():
        return False
    try:
        Lock(sign=False).release()
    except AnotherSupervisor:
        return True
    return False


def clear() -> None:
    """Remove what an earlier run left: its flags of stopped parts, its table of parts and its readiness."""
    STOPPED.mkdir(parents=True, exist_ok=True)
    for flag in STOPPED.iterdir():
        flag.unlink()
    PARTS.unlink(missing_ok=True)
    READY.unlink(missing_ok=True)


def read_stopped() -> set[str]:
    """Return the names of the parts that are to be stopped."""
    with suppress(FileNotFoundError):
        return {flag.name for flag in STOPPED.iterdir()}
    return set()


def read_parts() -> dict[str, dict[str, Any]]:
    """Return the table of parts: state, pid, restarts, healthy."""
    try:
        table: dict[str, dict[str, Any]] = json.loads(PARTS.read_text())
    except FileNotFoundError:
        return {}
    return table


def write_parts(table: dict[str, dict[str, Any]]) -> None:
    """Tell what is run."""
    write_atomically(PARTS, table)
