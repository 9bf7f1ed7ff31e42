import json
from datetime import date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.checksum import read_checksums
from analytics.completeness import read_completeness
from analytics.flink.comparison import find_differences
from analytics.rebuild import actions as generations
from analytics.recount.comparison import recount
from analytics.seal import seal_days
from relay.operations import Refused


class Command(BaseCommand):
    help = "Show how complete the numbers of analytics are, or their checksums; recount, seal or rebuild them."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        complete = actions.add_parser("complete", help="show the time until which every event is applied, and the rest")
        complete.add_argument("--days", type=int, default=1, help="count past problems of this many days (default: 1)")
        checksum = actions.add_parser("checksum", help="show the rows and the checksum of each table and day")
        checksum.add_argument("--day", help="only this day (UTC), for example 2026-05-04")
        actions.add_parser("recount", help="compute everything again from the outbox; exit 1 if anything differs")
        actions.add_parser("seal", help="store the checksums of past days that are complete")
        actions.add_parser("compare", help="compare Flink's tables with the consumer's; exit 1 if anything differs")
        generations.add_actions(actions)
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run the action."""
        run = {
            **{"complete": self._complete, "checksum": self._checksum, "recount": self._recount},
            **{"seal": self._seal, "compare": self._compare},
        }
        change = {
            "rebuild": generations.run_rebuild,
            "switch-back": generations.run_switch_back,
            "drop-generation": generations.run_drop,
        }
        try:
            if action in run:
                run[action](options)
            elif action in change:
                change[action](self._write, options)
            else:
                figures, lines = generations.describe_generations()
                self._print(options, [figures], lines)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _write(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _print(self, options: dict[str, Any], rows: list[dict[str, Any]], lines: list[str]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2, default=str))
        else:
            self.stdout.write("\n".join(lines))

    def _complete(self, options: dict[str, Any]) -> None:
        if options["days"] < 0:
            raise CommandError(f"--days {options['days']} is negative: give a number of days from 0")
        found = read_completeness(since=timezone.now() - timedelta(days=options["days"]))
        figures = {name: getattr(found, name) for name in type(found).__dataclass_fields__}
        self._print(options, [figures], [f"{name.replace('_', ' '):<16} {value}" for name, value in figures.items()])

    def _checksum(self, options: dict[str, Any]) -> None:
        found = read_checksums(day=read_day(options["day"]))
        lines = [
            f"{one.table:<16} {one.day or 'no day':<12} {one.rows:>10} {one.sum:>32}" for one in map(_named, found)
        ]
        self._print(options, [one._asdict() for one in found], lines or ["no rows"])

    def _recount(self, options: dict[str, Any]) -> None:
        found = recount()
        what = {"events": found.events, "rows": found.rows, "differences": found.differences}
        rows = ", ".join(f"{count} {name}" for name, count in found.rows.items())
        lines = [f"{found.events} events give {rows}", *found.differences]
        self._print(options, [what], [*lines, *(["no difference found"] if not found.differences else [])])
        if found.differences:
            raise SystemExit(1)

    def _seal(self, options: dict[str, Any]) -> None:
        days = seal_days()
        lines = [f"sealed {day}" for day in days] or ["no day to seal"]
        self._print(options, [{"day": day} for day in days], lines)

    def _compare(self, options: dict[str, Any]) -> None:
        differences = find_differences()
        self._print(options, [{"differences": differences}], differences or ["no difference found"])
        if differences:
            raise SystemExit(1)


def _named(one: Any) -> Any:
    return one._replace(day=str(one.day or "no day"))


def read_day(text: str | None) -> date | None:
    """Return the day of `text`, or None without a text.

    :raises CommandError: `text` is not a day.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no time zone
    except ValueError as error:
        raise CommandError(f"--day {text!r} is not a day: write it as 2026-05-04") from error
