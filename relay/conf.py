"""The relay's settings: the keys of settings.RELAY, with their types and defaults."""

from typing import Annotated, Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=str.upper):
    """The keys of settings.RELAY, which are written there in capitals."""

    #: Modules with the event classes, which define the topics.
    events: list[str] = []
    #: Dotted paths of all consumers. Lag, parked keys and pruning consider these consumers.
    consumers: list[str] = []
    #: Processes that only display new events (relay.consumer.tail), with their topics. create_acls lets them read.
    readers: dict[str, list[str]] = {}
    bootstrap_servers: list[str] = msgspec.field(default_factory=lambda: ["localhost:9092"])
    #: Alias in settings.DATABASES of the database with the relay's tables. publish() needs a transaction in it.
    database: str = "default"
    #: Topics that the outbox of another service fills. Consumers do not compare their records with this outbox.
    foreign_topics: list[str] = []
    #: More options for every client of kafka-python, for example security_protocol and sasl_mechanism.
    client_options: dict[str, Any] = {}
    #: The `source` of the CloudEvents, a URI reference.
    source: str = "/"
    #: Partitions of a topic that create_topics creates. A later change moves keys and breaks their order.
    partitions: Positive = 12
    replication: Positive = 1
    #: Retention in milliseconds by topic. Other topics keep everything.
    retention_ms: dict[str, int] = {}
    #: Folder in which manage.py event_schemas keeps asyncapi.json and events/, the JSON Schemas of the events.
    contract_folder: str = "docs"
    #: Rows in one partition of the outbox table.
    partition_rows: Positive = 1_000_000
    #: Days for which published rows are kept in the outbox, at least.
    keep_days: Positive = 30
    #: Milliseconds between two rounds of a consumer, and at most between two rounds of marking in the relay, while few
    #: events arrive. A longer pace adds latency; a shorter one adds transactions. A backlog is never paced.
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
    canary_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10
    #: Bearer token for scrapes of relay.health.metrics. If it is empty, nobody may scrape, except with METRICS_LOCAL.
    metrics_token: str = ""
    #: Whether this machine may scrape without a token. A proxy on this machine that adds no header opens the page to
    #: everyone, so leave it off in production.
    metrics_local: bool = False

    @property
    def event_modules(self) -> list[str]:
        """The modules of all event classes, the relay's own included."""
        return ["relay.publisher.canary", *self.events]

    def retention_of(self, topic: str) -> int:
        """Return the retention of `topic` in milliseconds; -1 means for ever."""
        return self.retention_ms.get(topic, 3_600_000 if topic == "relay.canary" else -1)


def configuration() -> Configuration:
    """Return the current settings.RELAY with defaults for missing keys. Takes two microseconds.

    :raises ImproperlyConfigured: a key is unknown or has a wrong value; the message names it.
    """
    try:
        return msgspec.convert(getattr(settings, "RELAY", {}), Configuration)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"settings.RELAY: {error}") from error
