"""The base class of the consume_* commands."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay.consumer.consumer import Consumer
from relay.consumer.receiver import Receiver
from relay.database.fitness import DatabaseUnfit
from relay.process.loop import prepare_for_batches, stop_on_signals
from relay.publisher.topics import build_decoders


class ConsumeCommand(BaseCommand):
    """A command that runs `consumer` until SIGTERM or Ctrl-C. Processes of one consumer share its partitions."""

    consumer: Consumer
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option `--instance`."""
        parser.add_argument(
            "--instance",
            default="",
            help="a stable name that no other process of this consumer uses. After a restart within the session"
            " timeout, a process with this name gets its partitions back without a rebalance",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Consume until the process receives a signal."""
        build_decoders()
        stopping = stop_on_signals()
        self.stderr.write(f"consuming {', '.join(self.consumer.topics)} as {self.consumer.name}")
        prepare_for_batches()
        try:
            Receiver(self.consumer, options["instance"]).run(stopping)
        except DatabaseUnfit as error:
            raise CommandError(str(error)) from error
