"""The whole shop in a folder and on ports of its own, run by `manage.py up` as anybody would run it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.prefork import Prefork

BASE_DIR = Path(__file__).resolve().parent.parent
_LAST_LINES = 40


class RunningShop:
    """A copy of the shop. Its screen is the file `var_dir` with .log behind it."""

    def __init__(self, port: int, var_dir: Path, *, only: tuple[str, ...] = (), **env: str) -> None:
        """Describe it. `only` starts just these parts; `env` is set in every command's environment."""
        self.base_url = f"http://127.0.0.1:{port}"
        self.var_dir = Path(var_dir)
        self.screen = self.var_dir.with_name(f"{self.var_dir.name}.log")
        self._only = only
        self.environment = {**os.environ, "PORT": str(port), "VAR_DIR": str(var_dir), **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._prefork: Prefork | None = None

    def start(self, timeout: float = 120) -> None:
        """Start it and wait until everything is healthy.

        :raises AssertionError: it ended, or was not healthy within `timeout` seconds. What it printed is told.
        """
        self.begin()
        self.wait_until_ready(timeout)

    def begin(self) -> None:
        """Start it without waiting for anything."""
        self.ready_file.unlink(missing_ok=True)  # an earlier run that was killed may have left it
        self.screen.parent.mkdir(parents=True, exist_ok=True)
        with self.screen.open("wb") as screen:
            self._process = subprocess.Popen(
                [*self._command("up"), *(["--only", *self._only] if self._only else [])],
                cwd=BASE_DIR,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until everything is healthy.

        :raises AssertionError: it ended, or was not healthy within `timeout` seconds. What it printed is told.
        """
        assert self._process
        deadline = time.monotonic() + timeout
        while not self.ready_file.exists():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.stop()
                why = f"is not healthy after {timeout:g} s" if ended is None else f"ended with code {ended}"
                last = "\n".join(self.screen.read_text(errors="replace").splitlines()[-_LAST_LINES:])
                raise AssertionError(f"the shop {why}:\n{last}")
            time.sleep(0.1)

    @property
    def ready_file(self) -> Path:
        """Exists while everything has become healthy."""
        return self.var_dir / "run" / "ready"

    @property
    def addresses(self) -> dict[str, str]:
        """Where the parts are."""
        addresses: dict[str, str] = json.loads(self.ready_file.read_text())
        return addresses

    @property
    def supervisor_pid(self) -> int:
        """The process number of `manage.py up`."""
        assert self._process, "the shop was not started"
        return self._process.pid

    def stop(
        self, timeout: float = 60, *, signum: signal.Signals = signal.SIGTERM, in_haste: bool = False
    ) -> int | None:
        """Ask it to stop and return the exit code; after `timeout` seconds kill the supervisor.

        In haste it is asked twice, and kills what has not stopped by then.
        """
        if self._prefork is not None:
            self._prefork.close()
            self._prefork = None
        if self._process is None:
            return None
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)
        if in_haste:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.5)
            self._process.send_signal(signum)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_supervisor()
            raise
        finally:
            self._process = None

    def kill_supervisor(self) -> None:
        """kill -9 of the supervisor alone: everything it started lives on."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def end_leftovers(self) -> None:
        """End what an earlier run on this folder has left, its supervisor included, and remove its data."""
        with suppress(OSError, ValueError):
            os.kill(int((self.var_dir / "run" / "lock").read_text()), signal.SIGTERM)
        for _attempt in range(100):
            reset = self.manage("reset")
            if reset.returncode == 0:
                return
            time.sleep(0.3)
        raise AssertionError(f"the former run can't be ended: {reset.stderr}")

    def manage(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` with `arguments` in the shop's environment."""
        return self.run(*arguments, timeout=timeout)

    def run(self, *arguments: str, point: str = "", timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a management command or `celery …`; with `point` it fails there (see tests.faults.failing)."""
        if self._prefork is None:
            self._prefork = Prefork(self.environment)
        return self._prefork.run(*arguments, point=point, timeout=timeout)

    def list_parts(self) -> dict[str, dict[str, Any]]:
        """Return every part's state, pid and restarts, as the supervisor tells them now."""
        parts: dict[str, dict[str, Any]] = json.loads((self.var_dir / "run" / "parts.json").read_text())
        return parts

    def part_stop(self, name: str) -> None:
        """Pull a plug and wait until the part is stopped."""
        self._part("stop", name)

    def part_start(self, name: str) -> None:
        """Put the plug back and wait until the part is well."""
        self._part("start", name)

    def part_kill(self, name: str) -> None:
        """kill -9; the supervisor starts the part again by itself."""
        self._part("kill", name)

    def _part(self, action: str, name: str) -> None:
        done = self.manage("part", action, name)
        assert done.returncode == 0, f"part {action} {name}: {done.stdout}{done.stderr}"

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
