from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from relay.management.operation import Operation, read_time
from relay.operations.republish import Loss, Republished, republish, wait_until_sent


class Command(Operation):
    help = (
        "Let the relays send published events of a topic again, after Kafka has lost them. Consumers drop repetitions. "
        "Other readers get each key's events from the first lost one to the newest one, in order."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the topic, the time of the loss, and --wait."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)
        parser.add_argument("--topic", required=True, help="The topic, for example shop.orders.")
        parser.add_argument(
            "--since",
            required=True,
            type=read_time,
            metavar="TIME",
            help="Kafka lost events that were published at TIME or later, for example 2026-11-22T08:00Z.",
        )
        parser.add_argument(
            "--until", type=read_time, metavar="TIME", help="It lost no event after TIME. Default: the current time."
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="Wait until the relays have sent the events, at most SECONDS. Default: do not wait.",
        )

    def operate(self, **options: Any) -> None:
        """Republish, and wait if requested."""
        self.take_time()
        loss = Loss(options["topic"], options["since"], options["until"] or timezone.now())
        audit = {name: options[name] for name in ("actor", "reason", "dry_run")}
        found = republish(loss, **audit, report=self._report)
        waiting = None
        if options["wait"] > 0 and not options["dry_run"]:
            waiting = wait_until_sent(loss, found, options["wait"], self._report)
        lines = format_result(loss.topic, found, waiting, options["dry_run"])
        self.print_result({"republished": found, "waiting": waiting}, lines, as_json=options["json"])

    def _report(self, progress: str) -> None:
        self.stderr.write(progress)


def format_result(topic: str, found: Republished, waiting: int | None, dry_run: bool) -> list[str]:
    """Return the lines that report `found`, and the number of `waiting` rows if the command has waited."""
    would = "would send" if dry_run else "send"
    lines = [f"{topic}: the relays {would} {found.rows} events of {found.keys} keys again, from position {found.first}"]
    if found.pruned_events:
        keys = ", ".join(found.named_keys) + (", …" if found.pruned_keys > len(found.named_keys) else "")
        lines.append(
            f"not restorable: {found.pruned_events} older events of {found.pruned_keys} keys are pruned: {keys}"
        )
    if waiting is not None:
        lines.append(f"{waiting} events still wait: see manage.py status" if waiting else "the relays have sent all")
    return lines
