import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from relay.heartbeat import STALE_AFTER_SECONDS, read_processes


class Command(BaseCommand):
    help = (
        "Exit 0 if a process has recently completed a round of work (ready) or, with --live, has tried one. A process "
        "that waits for the broker is live but not ready: a restart would not help."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --name, --max-age, --here, --live and --json."""
        parser.add_argument("--name", required=True, help="relay, or the name of a consumer.")
        parser.add_argument(
            "--max-age",
            type=float,
            default=STALE_AFTER_SECONDS,
            metavar="S",
            help="Maximum age of the round in seconds. Default: %(default)s.",
        )
        parser.add_argument("--here", action="store_true", help="Consider only processes on this host.")
        parser.add_argument("--live", action="store_true", help="Count failed rounds too.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, name: str, max_age: float, here: bool, live: bool, **options: Any) -> None:
        """Check the process with the most recent round among those called `name`."""
        try:
            processes = [p for p in read_processes() if p.name == name and (p.is_here or not here)]
        except Error as error:
            raise CommandError(f"the database can't be read: {error}") from error
        if not processes:
            raise CommandError(f"no process {name!r} has a heartbeat{' on this host' if here else ''}")
        process = min(processes, key=lambda p: p.tried_age) if live else processes[0]
        age = process.tried_age if live else process.age
        well = age is not None and age <= max_age
        if options["json"]:
            shown = {"process": process.process, "well": well, "round_age_seconds": process.age}
            shown |= {"tried_age_seconds": process.tried_age, "waiting": process.waiting}
            self.stdout.write(json.dumps(shown))
        else:
            self.stdout.write(f"{process.process}: {process.tell()}")
        if not well:
            raise SystemExit(1)
