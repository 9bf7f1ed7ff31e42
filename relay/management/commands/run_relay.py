from typing import Any

from django.core.management.base import BaseCommand, CommandError

from relay.database.fitness import DatabaseUnfit
from relay.forwarder.forwarder import Forwarder
from relay.process.loop import prepare_for_batches, stop_on_signals
from relay.publisher.topics import build_decoders


class Command(BaseCommand):
    help = "Forward the outbox to Kafka until SIGTERM or Ctrl-C. Several relays divide the keys among themselves."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Forward until the process receives a signal."""
        build_decoders()
        stopping = stop_on_signals()
        self.stderr.write("forwarding the outbox to Kafka")
        prepare_for_batches()
        try:
            Forwarder().run(stopping)
        except DatabaseUnfit as error:
            raise CommandError(str(error)) from error
