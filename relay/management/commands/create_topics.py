from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay import kafka
from relay.topics import known_topics


class Command(BaseCommand):
    help = "Create the topics of the event classes that Kafka does not have yet."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --check."""
        parser.add_argument("--check", action="store_true", help="Create nothing; exit 1 if a topic is missing.")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        """Create or check the topics."""
        try:
            missing = kafka.find_missing_topics(known_topics()) if check else kafka.create_topics(known_topics())
        except kafka.BrokerUnavailable as error:
            raise CommandError(f"Kafka is not to be reached: {error}") from error
        if check and missing:
            raise CommandError(f"missing: {', '.join(missing)}; create them with manage.py create_topics")
        self.stdout.write(f"created {', '.join(missing)}" if missing else "all topics are there")
