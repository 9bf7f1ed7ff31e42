"""The supervisor: starts the parts in order, restarts those that crash, and stops all of them.

The supervisor has one thread and forks all children.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from shop.embedded import health, run_files
from shop.embedded.health import ReportLog
from shop.embedded.logs import PartLog, log_message
from shop.embedded.part_process import PartProcess
from shop.embedded.parts import Part
from shop.embedded.processes import ProcessRecord

_ROUND_SECONDS = 0.25  # longest wait for output or signals, and so for a stop file
_SAME_SIGNAL_SECONDS = 1.0  # signals within this time count as one


class StartFailed(Exception):
    """A part did not become healthy. The message names the part and quotes its last lines."""


class Supervisor:
    """Runs `parts` until a signal arrives. A second signal kills the parts that have not stopped yet."""

    def __init__(self, parts: list[Part], record: ProcessRecord) -> None:
        self._parts = {
            part.name: PartProcess(part, PartLog(part.name, number=number)) for number, part in enumerate(parts)
        }
        self._reports = ReportLog()
        self._watcher = PartProcess(Part("health", health.watch), self._reports)
        self._record = record
        self._selector = selectors.DefaultSelector()
        self._stop_requested_at = 0.0
        self._kill_at_once = False
        self._written_table: object = None
        self._began = time.monotonic()

    def run(self, *, meanwhile: Callable[[], None], when_ready: Callable[[], None]) -> None:
        """Start all parts, call `when_ready` when all are healthy, and return after a signal has stopped the parts.

        Call `meanwhile` once, after the start of the parts that do not depend on others.

        :raises StartFailed: a part can't start, or was not ready in time. All parts are stopped first.
        """
        self._install_signal_handlers()
        try:
            self._advance()
            meanwhile()
            ready = False
            while not self._stop_requested_at:
                self._advance()
                self._poll()
                if not ready:
                    self._refuse_failure()
                    ready = all(process.was_ready for process in self._parts.values())
                    if ready:
                        when_ready()
        finally:
            self._stop_all()

    def _install_signal_handlers(self) -> None:
        """Let each signal wake the selector, so that the supervisor reacts immediately."""
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, None)
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._handle_signal)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        """Request a stop on the first signal, and kill on the second.

        `make` and `timeout` forward their signal to the children, so two signals at nearly the same time count as one.
        """
        if not self._stop_requested_at:
            self._stop_requested_at = time.monotonic()
        elif time.monotonic() - self._stop_requested_at > _SAME_SIGNAL_SECONDS:
            self._kill_at_once = True

    def _all(self) -> list[PartProcess]:
        return [*self._parts.values(), self._watcher]

    def _advance(self) -> None:
        """Stop the parts that have a stop file, and start the waiting parts whose dependencies are ready."""
        run_files.delete_ended()
        to_stop = run_files.read_stopped()
        for process in self._all():
            if process.part.name in to_stop:
                if process.state not in ("stopping", "stopped"):
                    process.request_stop()
            else:
                process.allow_start()
            if process.may_start and all(self._is_ready(name) for name in process.part.after):
                child = process.start(self._record.add)
                self._selector.register(child.output, selectors.EVENT_READ, process)

    def _is_ready(self, name: str) -> bool:
        """Return whether the part `name` was ready. A part that is not listed runs elsewhere and counts as ready."""
        return name not in self._parts or self._parts[name].was_ready

    def _poll(self) -> None:
        """Wait at most `_ROUND_SECONDS` for events, then log new output and update the states of all processes."""
        for key, _events in self._selector.select(_ROUND_SECONDS):
            if key.data is None:
                os.read(key.fd, 4096)
            elif not key.data.read_output(key.fd):
                self._selector.unregister(key.fd)
                os.close(key.fd)
        for process in self._all():
            process.kill_if_due(at_once=self._kill_at_once)
            if process.notice_end() and process.state == "done":
                self._log_ready(process)
            elif process.state == "starting" and self._reports.is_well(process.part.name, since=process.started_at):
                process.become_ready()
                self._log_ready(process)
        self._write_table()

    def _log_ready(self, process: PartProcess) -> None:
        what = "done" if process.part.is_job else "ready"
        log_message(f"{process.part.name} is {what} after {time.monotonic() - self._began:.1f} s")

    def _refuse_failure(self) -> None:
        for process in self._parts.values():
            if process.state == "failed" or process.is_late:
                why = (
                    "can't start"
                    if process.state == "failed"
                    else f"is not healthy after {process.part.ready_seconds:g} s"
                )
                lines = "\n".join(f"    {line}" for line in process.log.last_lines) or "    (no output)"
                raise StartFailed(f"{process.part.name} {why}. Its last output:\n{lines}")

    def _write_table(self) -> None:
        table = {name: process.describe() for name, process in self._parts.items() if not process.part.is_job}
        if table != self._written_table:
            with suppress(OSError):  # the supervisor must be able to stop the parts when the disk is full
                run_files.write_parts(table)
                self._written_table = table

    def _stop_all(self) -> None:
        """Stop the parts stage by stage: clients before the servers that they use. Each wait has a limit."""
        log_message("stopping all parts (press Ctrl-C again to kill them)")
        run_files.READY.unlink(missing_ok=True)
        stages = sorted({process.part.stop_stage for process in self._all()})
        for stage in stages:
            stopping = [process for process in self._all() if process.part.stop_stage == stage]
            for process in stopping:
                process.request_stop()
            while any(process.child for process in stopping):
                self._poll()
        for process in self._all():
            process.log.close()
        log_message("all parts are stopped")
