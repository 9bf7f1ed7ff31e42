from typing import Any

from django.core.management.base import CommandParser

from relay.management.operation import Operation
from relay.operations.pause import pause


class Command(Operation):
    help = "Pause a consumer: its events wait in Kafka. It resumes with relay_resume, or automatically after --minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the consumer and --minutes."""
        super().add_arguments(parser)
        self.add_change_arguments(parser)
        parser.add_argument("consumer")
        parser.add_argument("--minutes", type=float, metavar="M", help="Resume automatically after M minutes.")

    def operate(self, **options: Any) -> None:
        """Pause the consumer."""
        done = pause(
            options["consumer"],
            actor=options["actor"],
            reason=options["reason"],
            minutes=options["minutes"],
            dry_run=options["dry_run"],
        )
        until = f"until {done.resume_at:%Y-%m-%d %H:%M:%S %Z}" if done.resume_at else "until relay_resume"
        would = "would be paused" if options["dry_run"] else "is paused"
        self.print_result(done, [f"{done.consumer} {would} {until}"], as_json=options["json"])
