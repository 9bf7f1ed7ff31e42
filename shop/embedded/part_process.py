"""The process of one part: start, restart with backoff after a crash, and stop together with all its children."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from shop.embedded.logs import PartLog, log_message
from shop.embedded.parts import Part
from shop.embedded.processes import (
    CANNOT_START,
    Child,
    find_session,
    kill_all,
    start_child,
)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 30.0  # before a restart; each crash doubles the pause
_STEADY_AFTER_SECONDS = 60.0  # a process that ran for longer begins with the first pause again


class PartProcess:
    """The process of `part`. Its `state` is one of:

    waiting    for other parts, or for the restart after a crash
    starting   alive; no health check has succeeded yet
    running    a health check has succeeded since the start
    stopping   the stop signal is sent
    stopped    ended because of a request
    done       a job that has ended with code 0
    failed     a restart would not help
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
        """Return whether the process is waiting and its pause after a crash is over."""
        return self.state == "waiting" and time.monotonic() >= self._not_before

    @property
    def is_late(self) -> bool:
        """Return whether the part was never ready within `part.ready_seconds` after its first start."""
        tried = self._first_start and self.state not in ("stopping", "stopped")
        return bool(tried and not self.was_ready and time.monotonic() - self._first_start > self.part.ready_seconds)

    def start(self, record: Callable[[str, int, float], None]) -> Child:
        """Start the process and return it. Call `record` with name, pid and time of birth before it runs any code."""
        self.started_at = time.monotonic()
        self._first_start = self._first_start or self.started_at
        self.state = "starting"
        name = self.part.name
        self.child = start_child(name, self.part.run, lambda pid, born: record(name, pid, born))
        self._output = self.child.output
        return self.child

    def read_output(self, output: int) -> bool:
        """Log the new output of the process. Return False after the last writer has closed the pipe."""
        is_open = self.log.read(output)
        if not is_open and output == self._output:
            self._output = None
        return is_open

    def become_ready(self) -> None:
        """Record that a health check has succeeded."""
        if self.state == "starting":
            self.state = "running"
        self.was_ready = True

    def request_stop(self) -> None:
        """Send the part's stop signal. `kill_if_due` kills the process if it does not end in time."""
        if self.child is None:
            self.state = "stopped"
        elif self.state != "stopping":
            self.state = "stopping"
            self._kill_at = time.monotonic() + self.part.stop_seconds
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, self.part.stop_signal)

    def allow_start(self) -> None:
        """Let a stopped part start again."""
        if self.state == "stopped":
            self.state, self._pause, self._not_before = (
                "waiting",
                _FIRST_PAUSE_SECONDS,
                0.0,
            )

    def kill_if_due(self, *, at_once: bool = False) -> None:
        """Kill a stopping process after `part.stop_seconds`, or immediately with `at_once`."""
        if self.child and self.state == "stopping" and (at_once or time.monotonic() > self._kill_at):
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)

    def notice_end(self) -> bool:
        """Return whether the process has just ended. If it has, kill the remainder of its session and set its state."""
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
            log_message(
                f"{self.part.name} can't start; to try again, run `manage.py part stop` and `manage.py part start`"
            )
        else:
            self._pause_after_crash(code)

    def _pause_after_crash(self, code: int) -> None:
        now = time.monotonic()
        if now - self.started_at >= _STEADY_AFTER_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        log_message(f"{self.part.name} {how}: starts again in {self._pause:g} s")
        self.restarts += 1
        self.state = "waiting"
        self._not_before = now + self._pause
        self._pause = min(_LONGEST_PAUSE_SECONDS, self._pause * 2)

    def describe(self) -> dict[str, object]:
        """Return this part's row in the table of parts."""
        return {
            "state": self.state,
            "pid": self.child.pid if self.child else None,
            "restarts": self.restarts,
        }
