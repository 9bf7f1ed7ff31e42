"""Output of the parts: printed with the part's name as a prefix, and stored in VAR_DIR/log/<name>.log."""

import os
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path

from django.conf import settings

_LONGEST_FILE = 20_000_000  # bytes; a longer file is renamed to <name>.log.1, and a new file begins
_LAST_LINES = 15  # lines that a failure message quotes
_LABEL_WIDTH = 13
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class PartLog:
    """The log of one part. It continues when the part restarts."""

    def __init__(self, name: str, *, number: int) -> None:
        """Open a new file, and rename the previous file to <name>.log.1. `number` selects the colour."""
        self.last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._path = Path(settings.VAR_DIR) / "log" / f"{name}.log"
        self._label = label(name, colour=_COLOURS[number % len(_COLOURS)])
        self._partial_line = b""
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self._path.replace(self._path.with_suffix(".log.1"))
        self._file = self._path.open("wb", buffering=0)

    def read(self, output: int) -> bool:
        """Read the pipe `output` without waiting. Return False after its last writer has closed it."""
        while True:
            try:
                read = os.read(output, 65536)
            except BlockingIOError:
                return True
            *lines, self._partial_line = (self._partial_line + (read or b"\n")).split(b"\n")
            for line in lines:
                if line.strip():
                    self.take(line.decode(errors="replace").rstrip())
            if not read:
                return False

    def take(self, line: str) -> None:
        """Store and print one line."""
        self.last_lines.append(line)
        show(f"{self._label} {line}")
        with suppress(OSError):  # the shop must continue when the disk is full
            self._file.write(line.encode() + b"\n")
            if self._file.tell() > _LONGEST_FILE:
                self._file.close()
                self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def label(name: str, *, colour: int = 1) -> str:
    """Return the prefix of each line of the part `name`, in `colour` if stdout is a terminal."""
    text = f"{name:<{_LABEL_WIDTH}} |"
    return f"\033[{colour}m{text}\033[0m" if sys.stdout.isatty() else text


def show(line: str) -> None:
    """Print `line`, and ignore a closed terminal or pipe."""
    with suppress(OSError, ValueError):
        print(line, flush=True)


def log_message(line: str) -> None:
    """Print `line` as a message of the supervisor."""
    show(f"{label('up')} {line}")
