from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from relay.management.operation import Operation, read_time
from relay.operations.audit import find_consumer
from relay.operations.replay import ReplayResult, Span, rebuild, replay


class Command(Operation):
    help = "Give a consumer events from the outbox again. Applied events are suppressed, except by --rebuild."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the consumer and the selection of events."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)
        parser.add_argument("consumer")
        span = parser.add_mutually_exclusive_group(required=True)
        span.add_argument(
            "--since", type=read_time, metavar="TIME", help="Events since TIME, for example 2026-11-22T08:00Z."
        )
        span.add_argument("--key", help="The events of one key in all topics of the consumer, for example an order id.")
        span.add_argument("--beginning", action="store_true", help="All events that the outbox holds.")
        span.add_argument(
            "--rebuild", action="store_true", help="Empty the consumer's tables and apply all events again."
        )

    def operate(self, **options: Any) -> None:
        """Replay or rebuild."""
        if options["since"] and options["since"] > timezone.now():
            raise CommandError(f"--since {options['since']} is in the future")
        consumer = find_consumer(options["consumer"])
        self.take_time()
        audit = {name: options[name] for name in ("actor", "reason", "dry_run")}
        if options["rebuild"]:
            result = rebuild(consumer, **audit)
        else:
            result = replay(consumer, Span(key=options["key"], since=options["since"]), **audit)
        self.print_result(result, format_result(consumer.name, result, options["dry_run"]), as_json=options["json"])


def format_result(name: str, result: ReplayResult, dry_run: bool) -> list[str]:
    """Return the lines that report `outcome`."""
    lines = [
        f"{name}: {result.read} events read from the outbox, {result.suppressed} suppressed (applied before), "
        f"{result.applied} {'would be ' if dry_run else ''}applied"
    ]
    if result.waiting:
        lines.append(f"{result.waiting} wait behind parked events: see relay_parked list --consumer {name}")
    if result.pruned:
        lines.append(f"refused: {result.pruned} older events are pruned and can't be read again")
    return lines
