import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from relay.management.operation import Operation, format_age
from relay.operations import mend
from relay.operations.parked import Detail, Selection, list_groups, list_parked, show_parked
from relay.operations.stages import redrive_in_stages


class Command(Operation):
    help = "List, show, edit, skip and redrive parked keys of consumers, and outbox rows that Kafka refuses."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the subcommands."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|edit|skip|redrive")

        listing = actions.add_parser("list", help="Count parked keys by consumer and reason, and list them.")
        listing.add_argument("--consumer", help="Only this consumer; `relay` has the rows that Kafka refuses.")
        group_help = "Only reasons that begin with TEXT, in which each number and id is #."
        listing.add_argument("--group", metavar="TEXT", help=group_help)
        listing.add_argument("--limit", type=int, default=20, metavar="N", help="List at most N keys: %(default)s.")

        showing = actions.add_parser("show", help="Show the event at which a key waits, and the events behind it.")
        editing = actions.add_parser("edit", help="Replace the payload of the event at which a key waits.")
        editing.add_argument("--body", required=True, metavar="FILE", help="The new JSON; - reads it from stdin.")
        skipping = actions.add_parser("skip", help="Skip the event at which a key waits; continue behind it.")
        skipping.add_argument("--sequence", type=int, metavar="N", help="Only if the key still waits at event N.")
        redriving = actions.add_parser("redrive", help="Retry one key, one group of reasons or one consumer now.")
        redriving.add_argument("--group", metavar="TEXT", help=group_help)
        redriving.add_argument("--all", action="store_true", help="Retry all parked keys.")
        redriving.add_argument(
            "--stages", action="store_true", help="Retry 1, 10, 100, then all keys; stop when a key fails again."
        )

        for name in ("consumer", "topic", "key"):
            for action in (showing, editing, skipping):
                action.add_argument(name)
            redriving.add_argument(name, nargs="?")
        for action in (listing, showing, editing, skipping, redriving):
            super().add_arguments(action)
        for action in (editing, skipping, redriving):
            self.add_change_arguments(action)

    def operate(self, **options: Any) -> None:
        """Run the subcommand."""
        getattr(self, f"_{options['action']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        selection = Selection(consumer=options["consumer"], group=options["group"])
        groups, keys = list_groups(selection), list_parked(selection, limit=max(0, options["limit"]))
        lines = [
            f"{g.keys:>7} keys  {g.consumer:<14} oldest {format_age(g.oldest_seconds):<8} {g.type} {g.reason}"
            for g in groups
        ]
        lines += ["", *(f"{p.consumer} {p.topic} {p.key}  at {p.sequence}: {p.reason}" for p in keys)] if keys else []
        hidden = sum(g.keys for g in groups) - len(keys)
        lines += [f"… and {hidden} more (--limit)"] if hidden else []
        self.print_result({"groups": groups, "keys": keys}, lines or ["nothing is parked"], as_json=options["json"])

    def _show(self, options: dict[str, Any]) -> None:
        detail = show_parked(options["consumer"], options["topic"], options["key"])
        self.print_result(detail, format_detail(detail), as_json=options["json"])

    def _edit(self, options: dict[str, Any]) -> None:
        where = {name: options[name] for name in ("consumer", "topic", "key")}
        before = mend.edit(**where, body=read_body(options["body"]), **self._audit(options))
        done = "would replace" if options["dry_run"] else "replaced"
        lines = [f"{done} the payload of {before.type} {before.sequence} of {options['key']}"]
        if before.published_at:
            lines.append("the old payload remains in Kafka and in consumers that have applied it")
        lines.append(f"retry it with: relay_parked redrive {' '.join(where.values())}")
        self.print_result({"before": before, "dry_run": options["dry_run"]}, lines, as_json=options["json"])

    def _skip(self, options: dict[str, Any]) -> None:
        where = {name: options[name] for name in ("consumer", "topic", "key")}
        skipped = mend.skip(**where, sequence=options["sequence"], **self._audit(options))
        done = "would skip" if options["dry_run"] else "skipped"
        line = f"{skipped.consumer} {done} event {skipped.sequence} of {skipped.topic} {skipped.key}"
        self.print_result({"skipped": skipped, "dry_run": options["dry_run"]}, [line], as_json=options["json"])

    def _redrive(self, options: dict[str, Any]) -> None:
        if (options["topic"] is None) != (options["key"] is None):
            raise CommandError("a key needs three arguments: consumer, topic and key")
        if not (options["consumer"] or options["group"] or options["all"]):
            raise CommandError("give a key (consumer topic key), a consumer, a --group of reasons, or --all")
        selection = Selection(*(options[name] for name in ("consumer", "topic", "key", "group")))
        if options["stages"] and not options["dry_run"]:
            self._redrive_in_stages(selection, options)
            return
        redriven = mend.redrive(selection, **self._audit(options))
        done = "would be retried" if options["dry_run"] else "are retried now"
        lines = [f"{len(redriven)} keys {done}", *(f"{p.consumer} {p.topic} {p.key}" for p in redriven[:20])]
        self.print_result({"keys": redriven, "dry_run": options["dry_run"]}, lines, as_json=options["json"])

    def _redrive_in_stages(self, selection: Selection, options: dict[str, Any]) -> None:
        """Print the result of each stage as it ends.

        :raises CommandError: a key failed again, or the selection has keys of several consumers.
        """
        chosen = list_parked(selection)
        if len(names := sorted({one.consumer for one in chosen})) > 1:
            raise CommandError(f"stages need one consumer, and the keys belong to {', '.join(names)}: name one")
        results = []
        for result in redrive_in_stages(chosen, actor=options["actor"], reason=options["reason"]):
            results.append(result)
            if not options["json"]:
                self.stdout.write(
                    f"stage {result.stage + 1}: {result.keys} keys, {result.applied} applied, {result.failed} failed,"
                    f" {result.gone} no longer parked at the same event"
                )
        self.print_result({"stages": [result._asdict() for result in results]}, [], as_json=options["json"])
        if results and results[-1].failed:
            raise CommandError("a key failed again, so the later stages were not started: show it with relay_parked")

    @staticmethod
    def _audit(options: dict[str, Any]) -> dict[str, Any]:
        return {name: options[name] for name in ("actor", "reason", "dry_run")}


def format_detail(detail: Detail) -> list[str]:
    """Return the lines that `relay_parked show` prints."""
    parked, event = detail.parked, detail.event
    tried = f"{parked.attempts} attempts since {parked.since:%Y-%m-%d %H:%M:%S %Z}"
    again = f"{parked.next_try_at:%Y-%m-%d %H:%M:%S %Z}" if parked.next_try_at else "when a person redrives it"
    lines = [f"{parked.consumer} {parked.topic} {parked.key}", parked.reason, f"{tried}; next try {again}"]
    if event is None:
        lines.append(f"the outbox does not hold event {parked.sequence}")
    else:
        published = f"published {event.published_at:%Y-%m-%d %H:%M:%S %Z}" if event.published_at else "not published"
        lines += [f"event {event.sequence} is {event.type} {event.event_id}, {published}:", event.body]
    lines.append(f"{detail.behind} events wait behind it")
    lines += [f"  {one.sequence} {one.type} of {one.occurred_at:%Y-%m-%d %H:%M:%S %Z}" for one in detail.next_behind]
    return lines


def read_body(path: str) -> str:
    """Return a payload from the file `path`, or from standard input for `-`."""
    try:
        return (sys.stdin.read() if path == "-" else Path(path).read_text()).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--body {path} can't be read: {error}") from error
