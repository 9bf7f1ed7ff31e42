"""Starts the parts in order, keeps them running, and ends all of them. One thread; every child is forked from here."""

import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from shop.embedded import health, run_files
from shop.embedded.health import ReportLog
from shop.embedded.logs import PartLog, tell
from shop.embedded.part_process import PartProcess
from shop.embedded.parts import Part
from shop.embedded.processes import ProcessRecord

_ROUND_SECONDS = 0.1
_SAME_SIGNAL_SECONDS = 1.0


class StartFailed(Exception):
    """The shop did not become healthy. The message names the part and holds its last lines."""


class Supervisor:
    """Runs `parts` until a signal asks it to stop; a second signal makes it hurry."""

    def __init__(self, parts: list[Part], record: ProcessRecord) -> None:
        self._parts = {
            part.name: PartProcess(part, PartLog(part.name, number=number)) for number, part in enumerate(parts)
        }
        self._reports = ReportLog()
        self._watcher = PartProcess(Part("health", health.watch), self._reports)
        self._record = record
        self._selector = selectors.DefaultSelector()
        self._asked_at = 0.0
        self._in_haste = False
        self._told: object = None
        self._began = time.monotonic()

    def run(self, *, meanwhile: Callable[[], None], when_ready: Callable[[], None]) -> None:
        """Start everything, call `when_ready` once all of it is healthy, and return after it was told to stop.

        `meanwhile` is called once, after those that need nothing were started.
        :raises StartFailed: a part can't start, or took too long. Everything is stopped again by then.
        """
        self._listen_to_signals()
        try:
            self._advance()
            meanwhile()
            ready = False
            while not self._asked_at:
                self._advance()
                self._look()
                if not ready:
                    self._refuse_failure()
                    ready = all(process.was_ready for process in self._parts.values())
                    if ready:
                        when_ready()
        finally:
            self._stop_all()

    def _listen_to_signals(self) -> None:
        """A signal wakes the selector, so that nobody waits for the end of a round."""
        wake, waker = os.pipe()
        for end in (wake, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, None)
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._hear)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        """The first signal asks to stop. `make`, `timeout` and others pass theirs on: only a later one is a second."""
        if not self._asked_at:
            self._asked_at = time.monotonic()
        elif time.monotonic() - self._asked_at > _SAME_SIGNAL_SECONDS:
            self._in_haste = True

    def _all(self) -> list[PartProcess]:
        return [*self._parts.values(), self._watcher]

    def _advance(self) -> None:
        """Start what may start, stop what is to be stopped."""
        to_stop = run_files.read_stopped()
        for process in self._all():
            if process.part.name in to_stop:
                if process.state not in ("stopping", "stopped"):
                    process.ask_to_stop()
            else:
                process.allow_start()
            if process.may_start and all(self._is_ready(name) for name in process.part.after):
                child = process.start(self._record.add)
                self._selector.register(child.output, selectors.EVENT_READ, process)

    def _is_ready(self, name: str) -> bool:
        """A part that is not among these runs somewhere else."""
        return name not in self._parts or self._parts[name].was_ready

    def _look(self) -> None:
        """Wait a moment for output and ends of processes, and take in what there is."""
        for key, _events in self._selector.select(_ROUND_SECONDS):
            if key.data is None:
                os.read(key.fd, 4096)
            elif not key.data.read_output(key.fd):
                self._selector.unregister(key.fd)
                os.close(key.fd)
        for process in self._all():
            process.kill_if_due(at_once=self._in_haste)
            if process.notice_end() and process.state == "done":
                self._tell_ready(process)
            elif process.state == "starting" and self._reports.is_well(process.part.name, since=process.started_at):
                process.become_ready()
                self._tell_ready(process)
        self._write_table()

    def _tell_ready(self, process: PartProcess) -> None:
        what = "done" if process.part.is_job else "ready"
        tell(f"{process.part.name} is {what} after {time.monotonic() - self._began:.1f} s")

    def _refuse_failure(self) -> None:
        for process in self._parts.values():
            if process.state == "failed" or process.is_late:
                why = (
                    "can't start"
                    if process.state == "failed"
                    else f"is not healthy after {process.part.ready_seconds:g} s"
                )
                lines = "\n".join(f"    {line}" for line in process.log.last_lines) or "    (it printed nothing)"
                raise StartFailed(f"{process.part.name} {why}. The last it said:\n{lines}")

    def _write_table(self) -> None:
        table = {name: process.describe() for name, process in self._parts.items() if not process.part.is_job}
        if table != self._told:
            with suppress(OSError):  # a full disk must not keep it from stopping everything
                run_files.write_parts(table)
                self._told = table

    def _stop_all(self) -> None:
        """Stop those that use others before those that they use; every wait is bounded."""
        tell("stopping (once more to hurry)")
        run_files.READY.unlink(missing_ok=True)
        stages = sorted({process.part.stop_stage for process in self._all()})
        for stage in stages:
            stopping = [process for process in self._all() if process.part.stop_stage == stage]
            for process in stopping:
                process.ask_to_stop()
            while any(process.child for process in stopping):
                self._look()
        for process in self._all():
            process.log.close()
        tell("everything is stopped")
