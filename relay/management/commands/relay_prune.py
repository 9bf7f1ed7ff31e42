from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.prune import prune
from relay.operations.streams import prune_streams
from relay.partitions import ensure_partitions


class Command(Operation):
    help = (
        "Create partitions of the outbox ahead of time, and drop partitions whose rows are all old, published and "
        "applied by every consumer. Then delete the streams of topics with a retention that have no events any more."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --dry-run, --reason and --actor."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)

    def operate(self, **options: Any) -> None:
        """Create and drop partitions; a dry run only checks."""
        self.take_time()
        made = [] if options["dry_run"] else ensure_partitions()
        change = {name: options[name] for name in ("actor", "reason", "dry_run")}
        verdicts, streams = prune(**change), prune_streams(**change)
        lines = [f"created {partition.name}" for partition in made]
        for verdict in verdicts:
            done = f"{'dropped' if verdict.dropped else 'would be dropped'}, {verdict.rows} rows"
            kept = f"kept: {'; '.join(verdict.kept_because)}"
            where = f"{verdict.name}, positions {verdict.first} to {verdict.end - 1}"
            lines.append(f"{where}: {kept if verdict.kept_because else done}")
        done = "would be deleted" if options["dry_run"] else "deleted"
        lines += [f"{count} streams of {topic}: {done}" for topic, count in streams.items()]
        result = {"made": made, "partitions": verdicts, "streams": streams}
        self.print_result(result, lines, as_json=options["json"])
