"""The parts that the ledger compares with the outbox: Kafka's log and each consumer, with their topics."""

from relay.conf import configuration
from relay.consumer.registry import all_consumers
from relay.publisher.canary import CanarySent
from relay.publisher.topics import known_topics
from shop.control.ledger.models import LedgerCheck


def list_parts() -> dict[str, list[str]]:
    """Return the topics of Kafka's log and of each consumer. Canaries may be lost, so they are not compared."""
    topics = sorted({*known_topics()} - {CanarySent.topic, *configuration().foreign_topics})
    consumers = {one.name: [topic for topic in one.topics if topic in topics] for one in all_consumers()}
    return {LedgerCheck.LOG: topics} | {name: its for name, its in consumers.items() if its}
