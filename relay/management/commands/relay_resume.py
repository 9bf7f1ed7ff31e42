from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.pause import resume


class Command(Operation):
    help = "Resume a consumer that a person or its circuit breaker has paused."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the consumer."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)
        parser.add_argument("consumer")

    def operate(self, **options: Any) -> None:
        """Resume the consumer."""
        done = resume(options["consumer"], actor=options["actor"], reason=options["reason"], dry_run=options["dry_run"])
        would = "would be resumed" if options["dry_run"] else "is resumed"
        self.print_result(
            done, [f"{done.consumer} {would if done.changed else 'was not paused'}"], as_json=options["json"]
        )
