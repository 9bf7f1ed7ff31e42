"""A canary flies from the outbox through Kafka to every consumer, every few seconds: its age is the health of the way.

All canaries have one key. They show one partition, one shard of the relays, and one member of each consumer group.
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
    """Sends the canaries of all relays together: whichever finds that the newest is too old sends the next."""

    def __init__(self) -> None:
        self._due = 0.0

    def tick(self) -> None:
        """Publish a canary if RELAY["CANARY_SECONDS"] have passed since the last one, here or at another relay."""
        every = configuration().canary_seconds
        if not every or time.monotonic() < self._due:
            return
        with connection.cursor() as cursor:
            cursor.execute(_AGE_OF_NEWEST, KEY)
            row = cursor.fetchone()
        if row is None or row[0] >= every:
            with transaction.atomic():
                publish(CanarySent())
            row = (0.0,)
        self._due = time.monotonic() + every - row[0]
