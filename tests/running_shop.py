"""A whole shop with its own folder and ports, run by `manage.py up`."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.prefork import Prefork, run_manage
from tests.processes import kill_family

BASE_DIR = Path(__file__).resolve().parent.parent
_LAST_LINES = 40


class RunningShop:
    """A copy of the shop. Its output goes to the file `<var_dir>.log`."""

    def __init__(self, port: int, var_dir: Path, *, only: tuple[str, ...] = (), **env: str) -> None:
        """Describe a shop. `only` limits its parts; `env` is added to the environment of each command."""
        self.base_url = f"http://127.0.0.1:{port}"
        self.var_dir = Path(var_dir)
        self.screen = self.var_dir.with_name(f"{self.var_dir.name}.log")
        self._only = only
        self.environment = {**os.environ, "LAB": "0", "PORT": str(port), "VAR_DIR": str(var_dir), **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._prefork: Prefork | None = None

    def start(self, timeout: float = 120) -> None:
        """Start the shop and wait until all parts are healthy.

        :raises AssertionError: the shop ended or is not healthy after `timeout` seconds. The message shows its output.
        """
        self.begin()
        self.wait_until_ready(timeout)

    def begin(self) -> None:
        """Start the shop without waiting."""
        self.ready_file.unlink(missing_ok=True)  # a killed earlier run may have left this file
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
        """Wait until all parts are healthy.

        :raises AssertionError: the shop ended or is not healthy after `timeout` seconds. The message shows its output.
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
        """Return the path of the file that exists once all parts are healthy."""
        return self.var_dir / "run" / "ready"

    @property
    def addresses(self) -> dict[str, str]:
        """Return the addresses of the parts by name."""
        addresses: dict[str, str] = json.loads(self.ready_file.read_text())
        return addresses

    @property
    def supervisor_pid(self) -> int:
        """Return the process id of `manage.py up`."""
        assert self._process, "the shop was not started"
        return self._process.pid

    def stop(
        self, timeout: float = 60, *, signum: signal.Signals = signal.SIGTERM, in_haste: bool = False
    ) -> int | None:
        """Stop the shop with `signum` and return the exit code. Kill it with all parts after `timeout` seconds.

        With `in_haste` send the signal twice, after which the supervisor kills the remaining parts.
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
            kill_family(self._process)
            raise
        finally:
            self._process = None

    def kill_supervisor(self) -> None:
        """Kill the supervisor with SIGKILL. The parts that it started continue to run."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def end_leftovers(self) -> None:
        """End the supervisor and the parts of an earlier run in this folder, and remove its data."""
        with suppress(OSError, ValueError):
            os.kill(int((self.var_dir / "run" / "lock").read_text()), signal.SIGTERM)
        for _attempt in range(100):
            reset = run_manage("reset", environment=self.environment)
            if reset.returncode == 0:
                return
            time.sleep(0.3)
        raise AssertionError(f"the earlier run can't be stopped: {reset.stderr}")

    def manage(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` with `arguments` in the shop's environment."""
        return self.run(*arguments, timeout=timeout)

    def run(self, *arguments: str, point: str = "", timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a management command or `celery …`. With `point` it fails at this point (see tests.faults.failing)."""
        if self._prefork is None:
            self._prefork = Prefork(self.environment)
        return self._prefork.run(*arguments, point=point, timeout=timeout)

    def list_parts(self) -> dict[str, dict[str, Any]]:
        """Return the current state, pid and restarts of each part, as the supervisor reports them."""
        parts: dict[str, dict[str, Any]] = json.loads((self.var_dir / "run" / "parts.json").read_text())
        return parts

    def stop_all_except(self, *names: str) -> None:
        """Stop all parts except `names` at once, and wait until they have stopped."""
        others = self.list_parts().keys() - {*names}
        for name in others:
            (self.var_dir / "run" / "stopped" / name).touch()
        deadline = time.monotonic() + 60
        while running := [name for name in others if self.list_parts()[name]["state"] != "stopped"]:
            assert time.monotonic() < deadline, f"these parts have not stopped: {', '.join(running)}"
            time.sleep(0.1)

    def part_stop(self, name: str) -> None:
        """Stop a part and wait until it has stopped."""
        self._part("stop", name)

    def part_start(self, name: str) -> None:
        """Start a part and wait until it is healthy."""
        self._part("start", name)

    def part_kill(self, name: str) -> None:
        """Kill a part with SIGKILL. The supervisor restarts it."""
        self._part("kill", name)

    def _part(self, action: str, name: str) -> None:
        done = self.manage("part", action, name)
        assert done.returncode == 0, f"part {action} {name}: {done.stdout}{done.stderr}"

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, str(BASE_DIR / "manage.py"), *arguments]
