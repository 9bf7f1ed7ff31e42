"""List, stop, start or kill the parts of the shop that `manage.py up` runs."""

import json
import os
import signal
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from shop.embedded import run_files
from shop.embedded.processes import wait_until


class Command(BaseCommand):
    """Communicates with the supervisor through the files in VAR_DIR/run."""

    help = "List the parts that `manage.py up` runs, or stop, start or kill one part. `kafka` means all brokers."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="show the state, the pid and the number of restarts of each part")
        listing.add_argument("--json", action="store_true", dest="as_json")
        for action, what in {
            "stop": "stop the part until `part start`",
            "start": "start the part after `part stop`, and wait until it is healthy",
            "kill": "kill the part with SIGKILL; the supervisor restarts it",
        }.items():
            acting = actions.add_parser(action, help=what)
            acting.add_argument("name")
            acting.add_argument(
                "--seconds", type=float, default=60, help="longest wait for the new state (default: 60)"
            )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if not run_files.supervisor_lives():
            raise CommandError(
                f"no `manage.py up` uses {settings.VAR_DIR}: start it, or set VAR_DIR to the folder of a running one"
            )
        if action == "list":
            self._list(as_json=options["as_json"])
            return
        names = _find_names(options["name"])
        {"stop": _stop, "start": _start, "kill": _kill}[action](names, options["seconds"])
        self.stdout.write(f"{', '.join(names)}: {', '.join(_states(names))}")

    def _list(self, *, as_json: bool) -> None:
        parts = run_files.read_parts()
        if as_json:
            self.stdout.write(json.dumps([{"name": name, **row} for name, row in parts.items()]))
            return
        for name, row in parts.items():
            self.stdout.write(f"{name:<14} {row['state']:<9} {row['pid'] or '-':>7}  {row['restarts']} restarts")


def _find_names(wanted: str) -> list[str]:
    known = run_files.read_parts()
    names = [name for name in known if name == wanted or name.rpartition("-")[0] == wanted]
    if not names:
        raise CommandError(f"unknown part {wanted!r}: choose one of {', '.join(known)}")
    return names


def _states(names: list[str]) -> list[str]:
    parts = run_files.read_parts()
    return [parts[name]["state"] for name in names]


def _stop(names: list[str], seconds: float) -> None:
    for name in names:
        (run_files.STOPPED / name).touch()
    if not wait_until(lambda: set(_states(names)) == {"stopped"}, seconds=seconds):
        raise CommandError(f"{', '.join(names)} did not stop within {seconds:g} s")


def _start(names: list[str], seconds: float) -> None:
    for name in names:
        (run_files.STOPPED / name).unlink(missing_ok=True)
    if not wait_until(lambda: set(_states(names)) == {"running"}, seconds=seconds):
        raise CommandError(
            f"{', '.join(names)} is not healthy after {seconds:g} s, but {', '.join(_states(names))}: "
            f"read its log in {settings.VAR_DIR}/log, and check that the parts that it needs are running"
        )


def _kill(names: list[str], seconds: float) -> None:
    before = run_files.read_parts()
    pids = {name: before[name]["pid"] for name in names if before[name]["pid"]}
    if not pids:
        raise CommandError(f"{', '.join(names)} is not running, but {', '.join(_states(names))}")
    for pid in pids.values():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def noticed() -> bool:
        now = run_files.read_parts()
        return all(now[name]["pid"] != pid for name, pid in pids.items())

    if not wait_until(noticed, seconds=seconds):
        raise CommandError(f"{', '.join(names)} was killed, but the supervisor did not notice within {seconds:g} s")
