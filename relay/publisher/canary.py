"""Canaries: test events that go from the outbox through Kafka to each consumer every few seconds.

The age of the newest canary at a consumer shows the health of the whole path. All canaries have one key, so they cover
one partition, one shard and one member of each consumer group.
"""

import time
from typing import ClassVar

from relay.conf import configuration
from relay.database import connection, transaction
from relay.publisher.event import Event
from relay.publisher.outbox import publish


class CanarySent(Event, frozen=True, kw_only=True):
    """A test event. Its age at a consumer is the delay from the outbox to this consumer."""

    topic: ClassVar[str] = "relay.canary"

    @property
    def key(self) -> str:
        return "canary"


KEY = (CanarySent.topic, "canary")
_AGE_OF_NEWEST = """
select extract(epoch from clock_timestamp() - created_at)::float8 from relay_outbox
where topic = %s and key = %s order by sequence desc limit 1
"""


class Canary:
    """The sender of canaries in one relay. The first relay that finds the newest canary too old sends the next one."""

    def __init__(self) -> None:
        self._due = 0.0

    def tick(self) -> None:
        """Publish a canary if RELAY["CANARY_SECONDS"] have passed since the last one of any relay."""
        if time.monotonic() < self._due:
            return
        every = configuration().canary_seconds
        if not every:
            return
        with connection.cursor() as cursor:
            cursor.execute(_AGE_OF_NEWEST, KEY)
            row = cursor.fetchone()
        if row is None or row[0] >= every:
            with transaction.atomic():
                publish(CanarySent())
            row = (0.0,)
        self._due = time.monotonic() + every - row[0]
