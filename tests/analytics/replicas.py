"""Consumers with the handlers of analytics and tables of their own, their comparison, and the command of staff."""

from collections.abc import Iterable
from datetime import timedelta
from io import StringIO

from django.core.management import call_command
from django.db import transaction

from analytics.checksum import Checksum, read_checksums
from analytics.facts.consumer import declare_consumer
from analytics.generation import FIRST, Generation, create_tables
from analytics.handlers import consumer
from analytics.recount.comparison import recount
from analytics.sessions import compute_sessions, sum_days
from analytics.sums import sum_past_days
from relay import Consumer, Event, publish
from relay.testing import deliver
from tests.analytics.traffic import MIDNIGHT


class Replica:
    """A consumer and its tables."""

    def __init__(self, generation: Generation = FIRST, *, create: bool = False) -> None:
        self.generation = generation
        self.consumer: Consumer = consumer if generation == FIRST else declare_consumer(generation)
        if create:
            create_tables(generation)

    def read(self) -> list[Checksum]:
        """Return the checksums of all tables and days, after the sessions are computed."""
        compute_sessions(self.generation)
        return read_checksums(self.generation)

    def find_differences(self) -> list[str]:
        """Return the differences from the recount, after the sessions and their sums are computed."""
        compute_sessions(self.generation)
        sum_days(self.generation)
        sum_past_days(self.generation, now=MIDNIGHT + timedelta(days=2))
        return recount(self.generation).differences

    def deliver(self, **weather: float) -> None:
        """Give the consumer all events; `weather` imitates the faults of Kafka and the relay."""
        deliver(self.consumer, **weather)  # type: ignore[arg-type]


def publish_all(events: Iterable[Event]) -> None:
    """Publish `events` in one transaction."""
    with transaction.atomic():
        for event in events:
            publish(event)


def take_part(events: Iterable[Event]) -> None:
    """Publish `events`, let the consumer apply them, and compute their visits."""
    publish_all(events)
    Replica().deliver()
    compute_sessions()


def run_analytics(*arguments: str) -> str:
    """Run `manage.py analytics` and return its output."""
    out = StringIO()
    call_command("analytics", *arguments, stdout=out)
    return out.getvalue()
