"""Canaries at a consumer: they move its cursor without reaching a handler, and show the consumer's delay."""

from collections.abc import Sequence

from relay.consumer.cursors import lock_cursors, move_cursors
from relay.consumer.deliveries import Delivery
from relay.consumer.origin import find_foreign
from relay.database import connection, transaction
from relay.publisher.canary import KEY, CanarySent

# The age of a canary whose row is pruned is unknown. Rows are kept for days, so report infinity.
_AGES = """
select c.consumer, coalesce(extract(epoch from clock_timestamp() - o.created_at)::float8, 'infinity')
from relay_cursor c left join relay_outbox o on (o.topic, o.key, o.sequence) = (c.topic, c.key, c.last)
where c.consumer = any(%s) and (c.topic, c.key) = (%s, %s)
"""


def exclude_canaries(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Return the deliveries that are not canaries."""
    return [delivery for delivery in deliveries if delivery.topic != CanarySent.topic]


def note_canaries(consumer: str, deliveries: Sequence[Delivery]) -> None:
    """Move the consumer's cursor to the newest canary of `deliveries`. Call this after the other events are applied.

    Missing canaries are skipped and not healed: their topic keeps records for one hour only. Canaries that are not from
    the outbox are ignored: after a restore, a phantom would move the cursor beyond the end of the stream.
    """
    canaries = {d.sequence: d for d in deliveries if d.topic == CanarySent.topic and not d.problem}
    for found in find_foreign(list(canaries.values())) if canaries else ():
        del canaries[found.delivery.sequence]
    if newest := max(canaries, default=0):
        with transaction.atomic():
            cursor = lock_cursors(consumer, {KEY: 0})[KEY]
            if newest > cursor.last:
                cursor.last = newest
                move_cursors(consumer, [cursor])


def read_canary_ages(consumers: Sequence[str]) -> dict[str, float]:
    """Return, by consumer, the age in seconds of its newest canary. Consumers without any canary are omitted."""
    with connection.cursor() as cursor:
        cursor.execute(_AGES, [list(consumers), *KEY])
        return dict(cursor.fetchall())
