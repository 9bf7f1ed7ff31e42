"""A canary flies from the outbox through Kafka to every consumer, every few seconds: its age is the health of the way.

All canaries have one key. They show one partition, one shard of the relays, and one member of each consumer group.
"""

import time
from collections.abc import Sequence
from typing import ClassVar

from django.db import connection, transaction

from relay.conf import configuration
from relay.cursors import lock_cursors, move_cursors
from relay.event import Event
from relay.kafka import Delivery
from relay.outbox import publish


class CanarySent(Event, frozen=True, kw_only=True):
    """A test event. Its age at a consumer is the delay from the outbox to this consumer."""

    topic: ClassVar[str] = "relay.canary"

    @property
    def key(self) -> str:
        return "canary"


_KEY = (CanarySent.topic, "canary")
_AGE_OF_NEWEST = """
select extract(epoch from clock_timestamp() - created_at)::float8 from relay_outbox
where topic = %s and key = %s order by sequence desc limit 1
"""
# Without its row, which is pruned after days, the age is not known any more: infinite is near enough.
_AGES = """
select c.consumer, coalesce(extract(epoch from clock_timestamp() - o.created_at)::float8, 'infinity')
from relay_cursor c left join relay_outbox o on (o.topic, o.key, o.sequence) = (c.topic, c.key, c.last)
where c.consumer = any(%s) and (c.topic, c.key) = (%s, %s)
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
            cursor.execute(_AGE_OF_NEWEST, _KEY)
            row = cursor.fetchone()
        if row is None or row[0] >= every:
            with transaction.atomic():
                publish(CanarySent())
            row = (0.0,)
        self._due = time.monotonic() + every - row[0]


def leave_out_canaries(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return the deliveries that are something's event."""
    return [delivery for delivery in deliveries if delivery.topic != CanarySent.topic]


def note_canaries(consumer: str, deliveries: Sequence[Delivery]) -> None:
    """Move the consumer's cursor to the newest canary of the deliveries. To be called after the others are applied.

    Unlike other events they are skipped where they are missing, since the topic forgets after an hour.
    """
    newest = max((delivery.sequence for delivery in deliveries if delivery.topic == CanarySent.topic), default=0)
    if newest:
        with transaction.atomic():
            cursor = lock_cursors(consumer, {_KEY: 0})[_KEY]
            if newest > cursor.last:
                cursor.last = newest
                move_cursors(consumer, [cursor])


def read_canary_ages(consumers: Sequence[str]) -> dict[str, float]:
    """Return the age in seconds of the newest canary applied by each of `consumers` that ever had one."""
    with connection.cursor() as cursor:
        cursor.execute(_AGES, [list(consumers), *_KEY])
        return dict(cursor.fetchall())
