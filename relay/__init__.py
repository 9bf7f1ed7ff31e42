"""A transactional outbox for Django, PostgreSQL and Kafka. docs/relay.md explains how to use it.

The public names are in `__all__`, and each is imported at its first use. A process that only publishes therefore
loads neither a Kafka client nor the code of consumers. Other modules are private unless docs/relay.md names them.

Read the packages and their modules in this order. No module imports a later one:

    relay/:             conf, models, arrays
    relay/database/:    transaction, router, fitness
    relay/:             heartbeat, partitions
    relay/publisher/:   event, topics, tracing, outbox, canary
    relay/process/:     broker, connection, failpoint, loop
    relay/forwarder/:   lease, reader, buffer, batches, messages, producer, queues, marker, headroom,
                        forwarder
    relay/consumer/:    deliveries, subscription, tail, origin, cursors, arrivals, screening, parking, breaker, canary,
                        consumer, registry, watermarks, lag, sweep, receiver, command

Events arrive without the other packages: health/ reports the state of the relay, operations/ contains manual changes,
schemas/ keeps events readable for others, testing/ replaces Kafka in tests. admin, apps
and checks integrate it into Django.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.consumer.consumer import Consumer
    from relay.process.broker import BrokerUnavailable
    from relay.publisher.event import Event, UnableToDecodeEvent, Upcaster, unchanged
    from relay.publisher.outbox import (
        EventTooLarge,
        PublishedOutsideTransaction,
        UnknownTopic,
        WrongIsolationLevel,
        publish,
        publish_many,
    )
    from relay.publisher.topics import UnknownEventType

__version__ = "0.1.0"

__all__ = [
    "BrokerUnavailable",
    "Consumer",
    "Event",
    "EventTooLarge",
    "PublishedOutsideTransaction",
    "UnableToDecodeEvent",
    "UnknownEventType",
    "UnknownTopic",
    "Upcaster",
    "WrongIsolationLevel",
    "publish",
    "publish_many",
    "unchanged",
]

_HOMES = {
    "BrokerUnavailable": "relay.process.broker",
    "Consumer": "relay.consumer.consumer",
    "UnknownEventType": "relay.publisher.topics",
    **dict.fromkeys(["Event", "UnableToDecodeEvent", "Upcaster", "unchanged"], "relay.publisher.event"),
    **dict.fromkeys(
        [
            "EventTooLarge",
            "PublishedOutsideTransaction",
            "UnknownTopic",
            "WrongIsolationLevel",
            "publish",
            "publish_many",
        ],
        "relay.publisher.outbox",
    ),
}


if not TYPE_CHECKING:  # mypy knows the names above and reports all others

    def __getattr__(name: str) -> object:
        """Import a public name at its first use."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
