"""The relay's settings: every key of settings.RELAY, its type and its default stand here and nowhere else."""

from typing import Annotated, Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=str.upper):
    """What settings.RELAY may hold, with the names in capitals there."""

    #: Modules whose event classes make up the topics.
    events: list[str] = []
    #: Paths of all consumers: lag, parked keys and pruning are asked of these.
    consumers: list[str] = []
    bootstrap_servers: list[str] = msgspec.field(default_factory=lambda: ["localhost:9092"])
    #: Alias in settings.DATABASES of the database with the relay's tables. publish() needs a transaction in it.
    database: str = "default"
    #: More options for every client of kafka-python, for example security_protocol and sasl_mechanism.
    client_options: dict[str, Any] = {}
    #: The `source` of the CloudEvents, a URI reference.
    source: str = "/"
    #: Of a topic that create_topics makes. More partitions later would move keys, and so break their order.
    partitions: Positive = 12
    replication: Positive = 1
    #: Milliseconds by topic. The topics that are not named keep everything.
    retention_ms: dict[str, int] = {}
    #: Where manage.py event_schemas keeps asyncapi.json and, below events/, the events' JSON Schemas.
    contract_folder: str = "docs"
    #: Rows of the outbox in one partition of its table.
    partition_rows: Positive = 1_000_000
    #: Published rows are kept in the outbox for at least as long.
    keep_days: Positive = 30
    #: Milliseconds between two rounds of a consumer, and at most between the relay's marks, while few events come: they
    #: form batches meanwhile. A longer pace costs latency, a shorter one transactions. A backlog is never paced.
    pace_ms: Annotated[int, msgspec.Meta(ge=0)] = 90
    #: Seconds for which a relay holds its shards after a renewal. A killed relay's keys wait until this time is over.
    #: The minimum is a renewal (1 s) plus the time for an answer of Kafka (5 s) plus a margin of one second.
    lease_seconds: Annotated[float, msgspec.Meta(ge=7)] = 8
    #: Seconds before each automatic retry of a parked key. After the last retry the key waits for a person.
    retry_seconds: list[Annotated[float, msgspec.Meta(gt=0)]] = msgspec.field(
        default_factory=lambda: [1.0, 10.0, 60.0, 600.0]
    )
    #: Target time in seconds of a consumer's transaction. It holds the locks of its keys meanwhile.
    batch_seconds: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.2
    #: Seconds between two canary events; 0 sends none.
    canary_seconds: Annotated[float, msgspec.Meta(ge=0)] = 5
    #: Who scrapes relay.health.metrics must show it as a bearer token. Without one, only this machine may.
    metrics_token: str = ""

    @property
    def event_modules(self) -> list[str]:
        """The modules of all events there are: the relay has one of its own."""
        return ["relay.publisher.canary", *self.events]

    def retention_of(self, topic: str) -> int:
        """Return for how many milliseconds a topic keeps its records; -1 is for ever."""
        return self.retention_ms.get(topic, 3_600_000 if topic == "relay.canary" else -1)


def configuration() -> Configuration:
    """Read settings.RELAY as it is now, with the defaults for what it leaves out. Takes two microseconds.

    :raises ImproperlyConfigured: a key is unknown or has a wrong value; the message says which.
    """
    try:
        return msgspec.convert(getattr(settings, "RELAY", {}), Configuration)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"settings.RELAY: {error}") from error
