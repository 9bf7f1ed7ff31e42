from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.leases import rescan


class Command(Operation):
    help = (
        "Let the relays look for unpublished rows from a position on again, for rows that verify says they have passed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --from."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)
        parser.add_argument(
            "--from",
            dest="position",
            type=int,
            default=0,
            metavar="POSITION",
            help="Look at rows above this position of the outbox. Default: at all of it.",
        )

    def operate(self, **options: Any) -> None:
        """Lower the marks."""
        done = rescan(options["position"], actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"])
        would = "would look" if options["dry_run"] else "look"
        line = f"the relays {would} again at rows above {done.position}: in {done.shards} shards they had gone past it"
        self.tell(done, [line], as_json=options["json"])
