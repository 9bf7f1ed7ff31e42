"""One part and its process: started, watched, restarted after growing pauses, stopped, and never left half alive."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from shop.embedded.logs import PartLog, tell
from shop.embedded.parts import Part
from shop.embedded.processes import (
    CANNOT_START,
    Child,
    find_session,
    kill_all,
    start_child,
)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0
_STEADY_AFTER_SECONDS = 60.0


class PartProcess:
    """The process of `part`. Its state is one of

    waiting (for other parts, or between a crash and the restart), starting (alive, not yet known to be well),
    running (has been well since it started), stopping, stopped (by request), done (a job that has ended well),
    failed (trying again would not help).
    """

    def __init__(self, part: Part, log: PartLog) -> None:
        self.part = part
        self.log = log
        self.state = "waiting"
        self.child: Child | None = None
        self.started_at = 0.0
        self.restarts = 0
        self.was_ready = False
        self._output: int | None = None
        self._first_start = 0.0
        self._pause = _FIRST_PAUSE_SECONDS
        self._not_before = 0.0
        self._kill_at = 0.0

    @property
    def may_start(self) -> bool:
        """Whether it waits, and not for the pause after a crash."""
        return self.state == "waiting" and time.monotonic() >= self._not_before

    @property
    def is_late(self) -> bool:
        """Whether it has been tried for longer than it may take, and was never ready."""
        tried = self._first_start and self.state not in ("stopping", "stopped")
        return bool(tried and not self.was_ready and time.monotonic() - self._first_start > self.part.ready_seconds)

    def start(self, record: Callable[[str, int, float], None]) -> Child:
        """Start the process; `record` learns of it before it does anything."""
        self.started_at = time.monotonic()
        self._first_start = self._first_start or self.started_at
        self.state = "starting"
        name = self.part.name
        self.child = start_child(name, self.part.run, lambda pid, born: record(name, pid, born))
        self._output = self.child.output
        return self.child

    def read_output(self, output: int) -> bool:
        """Take in what the process has printed; false when nobody can write to this pipe any more."""
        is_open = self.log.read(output)
        if not is_open and output == self._output:
            self._output = None
        return is_open

    def become_ready(self) -> None:
        """It is well."""
        if self.state == "starting":
            self.state = "running"
        self.was_ready = True

    def ask_to_stop(self) -> None:
        """Send its stop signal; `kill_if_due` ends it when it does not listen."""
        if self.child is None:
            self.state = "stopped"
        elif self.state != "stopping":
            self.state = "stopping"
            self._kill_at = time.monotonic() + self.part.stop_seconds
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, self.part.stop_signal)

    def allow_start(self) -> None:
        """End a stop that was asked for."""
        if self.state == "stopped":
            self.state, self._pause, self._not_before = (
                "waiting",
                _FIRST_PAUSE_SECONDS,
                0.0,
            )

    def kill_if_due(self, *, at_once: bool = False) -> None:
        """Kill a process that was asked to stop and has had its time."""
        if self.child and self.state == "stopping" and (at_once or time.monotonic() > self._kill_at):
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)

    def notice_end(self) -> bool:
        """Whether the process has just ended. Then nothing of its session is left, and the next state is decided."""
        if self.child is None:
            return False
        pid, status = os.waitpid(self.child.pid, os.WNOHANG)
        if not pid:
            return False
        if self._output is not None:
            self.log.read(self._output)
        kill_all(find_session(self.child.pid, self.child.born) + self.part.find_others())
        self.child = None
        self._decide(os.waitstatus_to_exitcode(status))
        return True

    def _decide(self, code: int) -> None:
        if self.state == "stopping":
            self.state = "stopped"
        elif self.part.is_job and code == 0:
            self.state, self.was_ready = "done", True
        elif code == CANNOT_START:
            self.state = "failed"
            tell(f"{self.part.name} can't start; it is tried again after `manage.py part stop` and `part start`")
        else:
            self._pause_after_crash(code)

    def _pause_after_crash(self, code: int) -> None:
        now = time.monotonic()
        if now - self.started_at >= _STEADY_AFTER_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        tell(f"{self.part.name} {how}: starts again in {self._pause:g} s")
        self.restarts += 1
        self.state = "waiting"
        self._not_before = now + self._pause
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2)

    def describe(self) -> dict[str, object]:
        """Its line in the table of parts."""
        return {
            "state": self.state,
            "pid": self.child.pid if self.child else None,
            "restarts": self.restarts,
        }
