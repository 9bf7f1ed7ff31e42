import json
from datetime import date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from analytics.archive.inventory import describe_archive, find_problems, list_files
from analytics.checksum import read_checksums
from analytics.completeness import read_completeness
from analytics.flink.comparison import find_differences
from analytics.generation import current
from analytics.rebuild import actions as generations
from analytics.recount.comparison import recount
from analytics.retention import drop_old_days, list_old_days
from analytics.seal import seal_days
from relay.operations import Refused


class Command(BaseCommand):
    help = "Show how complete the numbers of analytics are, or their checksums; recount, seal, archive or rebuild them."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        complete = actions.add_parser("complete", help="show the time until which every event is applied, and the rest")
        complete.add_argument("--days", type=int, default=1, help="count past problems of this many days (default: 1)")
        checksum = actions.add_parser("checksum", help="show the rows and the checksum of each table and day")
        checksum.add_argument("--day", help="only this day (UTC), for example 2026-05-04")
        actions.add_parser("recount", help="compute everything again from the outbox; exit 1 if anything differs")
        archive = actions.add_parser("archive", help="list the Parquet files of days whose activity was dropped")
        archive.add_argument("--verify", action="store_true", help="read all files; exit 1 if one is missing or wrong")
        archive.add_argument(
            "--write", action="store_true", help="archive and drop old days now; a task does it hourly"
        )
        actions.add_parser("seal", help="store the checksums of past days that are complete")
        actions.add_parser("compare", help="compare Flink's tables with the consumer's; exit 1 if anything differs")
        generations.add_actions(actions)
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run the action."""
        run = {
            **{"complete": self._complete, "checksum": self._checksum, "recount": self._recount},
            **{"seal": self._seal, "archive": self._archive, "compare": self._compare},
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

    def _archive(self, options: dict[str, Any]) -> None:
        dropped = drop_old_days() if options["write"] else []
        files, days = list_files(), list_old_days()
        problems = {one.pk: text for one, text in find_problems(files)} if options["verify"] else {}
        names = ("day", "part", "file", "rows", "checksum", "bytes")
        rows = [{name: getattr(one, name) for name in names} | {"problem": problems.get(one.pk)} for one in files]
        lines = [f"{one.day}  {one.rows:>10}  {one.checksum:>32}  {one.bytes:>12}  {one.file}" for one in files]
        lines += [f"dropped {day}" for day in dropped]
        self._print(options, rows, [*lines, *describe_archive(files, days, current().schema)])
        if problems:
            raise CommandError("\n".join([f"{len(problems)} of {len(files)} files are wrong:", *problems.values()]))
        if options["verify"] and not options["json"]:
            self.stdout.write(f"verified: {len(files)} files have the rows and checksums that were archived")

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
