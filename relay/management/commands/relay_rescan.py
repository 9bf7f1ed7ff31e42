from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.leases import rescan


class Command(Operation):
    help = (
        "Let the relays scan the outbox again for unpublished rows above a position. Use this if verify reports rows "
        "that the relays have missed."
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
            help="Scan the rows above this position. Default: all rows.",
        )

    def operate(self, **options: Any) -> None:
        """Lower the low watermarks."""
        done = rescan(options["position"], actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"])
        would = "would scan" if options["dry_run"] else "scan"
        line = f"the relays {would} all rows above {done.position} again; lowered marks: {done.shards} shards"
        self.print_result(done, [line], as_json=options["json"])
