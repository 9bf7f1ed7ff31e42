"""Canaries at a consumer: they move its cursor, reach no handler, and show how late it is."""

from collections.abc import Sequence

from relay.consumer.cursors import lock_cursors, move_cursors
from relay.consumer.deliveries import Delivery
from relay.database import connection, transaction
from relay.publisher.canary import KEY, CanarySent

# Without its row, which is pruned after days, the age is not known any more: infinite is near enough.
_AGES = """
select c.consumer, coalesce(extract(epoch from clock_timestamp() - o.created_at)::float8, 'infinity')
from relay_cursor c left join relay_outbox o on (o.topic, o.key, o.sequence) = (c.topic, c.key, c.last)
where c.consumer = any(%s) and (c.topic, c.key) = (%s, %s)
"""


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
            cursor = lock_cursors(consumer, {KEY: 0})[KEY]
            if newest > cursor.last:
                cursor.last = newest
                move_cursors(consumer, [cursor])


def read_canary_ages(consumers: Sequence[str]) -> dict[str, float]:
    """Return the age in seconds of the newest canary applied by each of `consumers` that ever had one."""
    with connection.cursor() as cursor:
        cursor.execute(_AGES, [list(consumers), *KEY])
        return dict(cursor.fetchall())
