import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Show the newest figures of the control room and what is wrong, for example in a terminal or a script."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json."""
        parser.add_argument("--json", action="store_true", help="Print all figures as JSON, as /control/now.json does.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings, or all figures.

        :raises CommandError: there is no sample yet.
        """
        from shop.control.pages import describe, read_newest

        sample, age = read_newest()
        if sample is None:
            raise CommandError("There is no sample yet: is the part live running?")
        now = describe(sample, age)
        if options["json"]:
            self.stdout.write(json.dumps(now))
            return
        self.stdout.write(f"figures of {now['at']}, {now['age_seconds']:.0f} s old")
        for finding in now["findings"]:
            self.stdout.write(f"{finding['state']:<8} {finding['text']}")
        if now["well"]:
            self.stdout.write("all is well")
