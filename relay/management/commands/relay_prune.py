from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.prune import prune
from relay.partitions import ensure_partitions


class Command(Operation):
    help = "Make partitions of the outbox ahead, and drop those whose rows are old, published and applied by everyone."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add nothing of its own."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)

    def operate(self, **options: Any) -> None:
        """Make and drop; a dry run judges only."""
        self.take_time()
        made = [] if options["dry_run"] else ensure_partitions()
        verdicts = prune(actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"])
        lines = [f"made {partition.name}" for partition in made]
        for verdict in verdicts:
            done = f"{'dropped' if verdict.dropped else 'would be dropped'}, {verdict.rows} rows"
            kept = f"kept: {'; '.join(verdict.kept_because)}"
            where = f"{verdict.name}, positions {verdict.first} to {verdict.end - 1}"
            lines.append(f"{where}: {kept if verdict.kept_because else done}")
        self.tell({"made": made, "partitions": verdicts}, lines, as_json=options["json"])
