from typing import Any

from django.core.management.base import CommandError, CommandParser

from relay.conf import configuration
from relay.management.operation import Operation
from relay.operations import cluster
from relay.publisher.topics import known_topics


class Command(Operation):
    help = "Create the missing topics of the event classes in Kafka."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --check and --dry-run."""
        super().add_arguments(parser)
        parser.add_argument(
            "--check",
            action="store_true",
            help="Create nothing; exit 1 if a topic is missing or differs from the settings.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Print the missing topics without creating them.")

    def operate(self, **options: Any) -> None:
        """Create or check the topics."""
        topics = known_topics()
        if not options["check"] and not options["dry_run"]:
            created = cluster.create_topics(topics)
            lines = [f"created {', '.join(created)}" if created else "all topics exist"]
            self.print_result({"created": created}, lines, as_json=options["json"])
            return
        shapes = cluster.read_shapes(topics)
        missing = [topic for topic in topics if topic not in shapes]
        wrong = {topic: found for topic, shape in shapes.items() if (found := find_differences(topic, shape))}
        lines = [f"missing: {topic}" for topic in missing]
        lines += [f"{topic}: {difference}" for topic, found in wrong.items() for difference in found]
        self.print_result(
            {"missing": missing, "wrong": wrong},
            lines or ["all topics agree with the settings"],
            as_json=options["json"],
        )
        if options["check"] and missing:
            raise CommandError(f"missing: {', '.join(missing)}; create them with manage.py create_topics")
        if options["check"] and wrong:
            raise CommandError(
                f"topics differ from the settings: {', '.join(wrong)}; alter them with Kafka's own tools"
            )


def find_differences(topic: str, shape: cluster.TopicShape) -> list[str]:
    """Return the differences of a topic from the settings as texts.

    This command does not correct them: a new number of partitions would move keys and break their order.
    """
    wishes = configuration()
    wanted = cluster.TopicShape(wishes.partitions, wishes.replication, wishes.retention_of(topic))
    return [
        f"{what} is {found}, not {wished}"
        for what, found, wished in [
            ("the number of partitions", shape.partitions, wanted.partitions),
            ("the replication", shape.replication, wanted.replication),
            ("retention.ms", shape.retention_ms, wanted.retention_ms),
        ]
        if found != wished
    ]
