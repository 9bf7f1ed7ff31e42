import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Show the newest figures of the control room and what is wrong, for example in a terminal or a script."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json and --ledger."""
        parser.add_argument("--json", action="store_true", help="Print all figures as JSON, as /control/now.json does.")

        parser.add_argument(
            "--ledger",
            action="store_true",
            help="Show the totals of the ledger and its open differences. Exit 1 if an event is lost or doubled.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings, or all figures.

        :raises CommandError: there is no sample yet.
        """
        from shop.control.pages import describe, read_newest

        sample, age = read_newest()
        if sample is None:
            raise CommandError("There is no sample yet: is the part live running?")
        now = describe(sample, age)
        if options["ledger"]:
            self._show_ledger(now.get("ledger"), as_json=options["json"])
            return
        if options["json"]:
            self.stdout.write(json.dumps(now))
            return
        self.stdout.write(f"figures of {now['at']}, {now['age_seconds']:.0f} s old")
        for finding in now["findings"]:
            self.stdout.write(f"{finding['state']:<8} {finding['text']}")
        if now["well"]:
            self.stdout.write("all is well")

    def _show_ledger(self, ledger: dict[str, Any] | None, *, as_json: bool) -> None:
        """Print the ledger.

        :raises CommandError: it has not begun.
        :raises SystemExit: an event is lost or doubled.
        """
        from shop.control.ledger.summary import describe_findings

        if not ledger or not ledger["since"]:
            problem = (ledger or {}).get("problem") or "is the part live running?"
            raise CommandError(f"The ledger has not begun: {problem}")
        if as_json:
            self.stdout.write(json.dumps(ledger))
        else:
            self.stdout.write(f"{ledger['committed']:>10,}  events committed since {ledger['since']}")
            for name, part in ledger["parts"].items():
                where = "in Kafka" if name == "log" else f"applied by {name}, effects {part['effects']:,}"
                self.stdout.write(f"{part['found']:>10,}  {where}; {part['waiting']:,} in flight")
            for name in ("lost", "doubled", "in_flight", "parked", "repeats"):
                self.stdout.write(f"{ledger[name]:>10,}  {name.replace('_', ' ')}")
            for state, text in describe_findings(ledger):
                self.stdout.write(f"{state:<8} {text}")
        if ledger["lost"] or ledger["doubled"]:
            raise SystemExit(1)
