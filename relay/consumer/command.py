"""The base of the consume_* commands."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from relay.consumer.consumer import Consumer
from relay.consumer.receiver import Receiver
from relay.process.loop import prepare_for_batches, stop_on_signals
from relay.publisher.topics import build_decoders


class ConsumeCommand(BaseCommand):
    """Runs `consumer` until SIGTERM or Ctrl-C. Several processes of one consumer share its partitions."""

    consumer: Consumer
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the options."""
        parser.add_argument(
            "--instance",
            default="",
            help="a name that stays the same over restarts and that no other process of this consumer has: its"
            " partitions wait for it for as long as a session lasts, instead of going to the others",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Consume until a signal comes."""
        build_decoders()
        stopping = stop_on_signals()
        self.stderr.write(f"consuming {', '.join(self.consumer.topics)} as {self.consumer.name}")
        prepare_for_batches()
        Receiver(self.consumer, options["instance"]).run(stopping)
