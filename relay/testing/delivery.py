"""Delivery from the outbox to consumers without Kafka, with headers and in order within each key.

Consumers apply the events with their own `process`, and their cursors decide which events are missing.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Literal, TypeVar
from unittest.mock import patch

from django.db.models.functions import Now

from relay.conf import configuration
from relay.consumer.consumer import Consumer
from relay.consumer.cursors import Key, LockedCursor
from relay.consumer.deliveries import Delivery, read_record
from relay.consumer.sweep import read_lost
from relay.forwarder.messages import make_message
from relay.forwarder.reader import Row
from relay.models import Outbox, ParkedKey

Parked = Literal["raise", "allow"]
T = TypeVar("T")

_WAITING = """
select o.* from relay_outbox o
left join relay_cursor c on c.consumer = %s and c.topic = o.topic and c.key = o.key
where o.topic = any(%s) and o.published_at is not null and o.sequence > coalesce(c.last, 0)
order by o.position
"""


class DeliveryLoops(AssertionError):
    """Events remain after the maximum number of rounds, for example because handlers publish events in a loop."""


def deliver(
    *consumers: Consumer,
    duplicate: float = 0,
    delay: float = 0,
    lose: float = 0,
    shuffle: bool = False,
    parked: Parked = "raise",
    seed: int | None = None,
    rounds: int = 100,
) -> int:
    """Deliver all unapplied events to each consumer until no event is left; return the number of deliveries.

    This includes events that handlers publish meanwhile. Without options every event is delivered once and in order.
    The options imitate Kafka and the relay; the effects of a correct consumer do not depend on them.

    :param duplicate: share (0 to 1) of deliveries that are repeated in a later batch.
    :param delay: share (0 to below 1) of keys that are held back in a round.
    :param lose: share (0 to 1) of records that are lost. Later events or a final sweep reveal and heal them.
    :param shuffle: mix the keys, but not the events of one key, and cut random batches.
    :param parked: "raise" raises the error of a handler; "allow" parks the key, as in production.
    :param seed: seed of all random choices. By default it is random and printed.
    :param rounds: maximum number of rounds.
    :raises DeliveryLoops: events remain after `rounds` rounds.
    """
    if not all(0 <= share <= 1 for share in (duplicate, delay, lose)) or delay == 1:
        raise ValueError(f"duplicate={duplicate}, delay={delay}, lose={lose}: shares must be 0 to 1, and delay below 1")
    chosen = random.randrange(2**32) if seed is None else seed
    if seed is None and (duplicate or delay or lose or shuffle):
        print(f"to repeat this run: deliver(..., seed={chosen})")
    wire = _Wire(random.Random(chosen), duplicate=duplicate, delay=delay, lose=lose, shuffle=shuffle)
    for _ in range(rounds):
        Outbox.objects.filter(published_at=None).update(published_at=Now())
        busy = [wire.hand_over(consumer, parked) for consumer in wire.mix(consumers)]
        if not any(busy) and not (lose and [key for consumer in consumers for key in sweep(consumer, parked)]):
            return wire.delivered.total()
    often = ", ".join(f"{what} ({times} times)" for what, times in wire.delivered.most_common(3))
    raise DeliveryLoops(f"events remain after {rounds} rounds; the most frequent were {often}")


def redrive(*consumers: Consumer, parked: Parked = "raise") -> int:
    """Retry every parked key, due or not; return the number of keys that are no longer parked."""
    flowing = 0
    for consumer in consumers:
        for cursor in ParkedKey.objects.filter(consumer=consumer.name).exclude(parked_at=None).order_by("topic", "key"):
            with surfacing_errors(consumer, parked):
                flowing += consumer.catch_up((cursor.topic, cursor.key))
    return flowing


def parked_keys(consumer: Consumer) -> dict[str, str]:
    """Return the reasons of the consumer's parked keys, by key."""
    keys = ParkedKey.objects.filter(consumer=consumer.name).exclude(parked_at=None).order_by("topic", "key")
    return dict(keys.values_list("key", "reason"))


class _Wire:
    """The deliveries in flight during one call of deliver()."""

    def __init__(self, dice: random.Random, *, duplicate: float, delay: float, lose: float, shuffle: bool) -> None:
        self._dice, self._duplicate, self._delay, self._lose, self._shuffle = dice, duplicate, delay, lose, shuffle
        self._sent: dict[str, set[int]] = defaultdict(set)
        self._again: dict[str, list[Delivery]] = defaultdict(list)
        self.delivered: Counter[str] = Counter()

    def mix(self, things: Sequence[T]) -> list[T]:
        """Return `things`, in a random order if `shuffle` is set."""
        return self._dice.sample(things, len(things)) if self._shuffle else list(things)

    def hand_over(self, consumer: Consumer, parked: Parked) -> bool:
        """Let `consumer` process one round; return whether there were deliveries or held keys."""
        coming, held = self._take(consumer)
        for batch in self._cut(coming):
            with surfacing_errors(consumer, parked):
                consumer.process(batch)
        self.delivered.update(f"{delivery.type} of {delivery.topic}/{delivery.key}" for delivery in coming)
        return bool(coming or held)

    def _take(self, consumer: Consumer) -> tuple[list[Delivery], set[Key]]:
        """Return the deliveries of this round and the held keys. A duplicate follows one round after its original."""
        sent, coming = self._sent[consumer.name], self._again.pop(consumer.name, [])
        held: dict[Key, bool] = {}
        for row in Outbox.objects.raw(_WAITING, [consumer.name, consumer.topics]):
            if row.position in sent:
                continue
            key = (row.topic, row.key)
            if key not in held:
                held[key] = self._draw(self._delay)
            if held[key]:
                continue
            sent.add(row.position)
            if not self._draw(self._lose):
                coming.append(make_delivery(row))
                if self._draw(self._duplicate):
                    self._again[consumer.name].append(coming[-1])
        return coming, {key for key, is_held in held.items() if is_held}

    def _draw(self, share: float) -> bool:
        return share > 0 and self._dice.random() < share

    def _cut(self, deliveries: list[Delivery]) -> list[list[Delivery]]:
        """Return `deliveries` as one batch or, if `shuffle` is set, as random batches that keep each key in order."""
        if not self._shuffle:
            return [deliveries] if deliveries else []
        turns = self.mix([(delivery.topic, delivery.key) for delivery in deliveries])
        queues: dict[Key, list[Delivery]] = defaultdict(list)
        for delivery in reversed(deliveries):
            queues[delivery.topic, delivery.key].append(delivery)
        batches: list[list[Delivery]] = []
        for turn in turns:
            if not batches or self._draw(0.3):
                batches.append([])
            batches[-1].append(queues[turn].pop())
        return batches


def make_delivery(row: Outbox) -> Delivery:
    """Return the delivery that a consumer would receive from Kafka for `row`."""
    sent = Row(
        position=row.position,
        key_hash=row.key_hash,
        topic=row.topic.encode(),
        key=row.key.encode(),
        sequence=str(row.sequence).encode(),
        event_id=str(row.event_id).encode(),
        type=row.type.encode(),
        occurred_at=row.occurred_at.isoformat().encode(),
        traceparent=row.traceparent.encode(),
        body=row.body.encode(),
        created_at=row.created_at.timestamp(),
    )
    message = make_message(sent, configuration().source.encode())
    received = SimpleNamespace(
        topic=row.topic,
        partition=row.key_hash % configuration().partitions,
        offset=row.position,
        key=message.key,
        headers=message.headers,
        value=message.value,
    )
    return read_record(received)


def sweep(consumer: Consumer, parked: Parked) -> list[Key]:
    """Heal events that were lost at the end of a key, as a consumer process does; return the keys."""
    keys = dict[Key, None]()
    with surfacing_errors(consumer, parked):
        for lost in read_lost(consumer, seconds=0):
            consumer.apply(consumer.arrange(lost))
            keys |= dict.fromkeys(arrival.key for arrival in lost)
    return [*keys]


@contextmanager
def surfacing_errors(consumer: Consumer, parked: Parked) -> Iterator[None]:
    """Raise, after the block, the first error for which `consumer` parked a key, unless `parked` is "allow"."""
    failures: list[tuple[LockedCursor, Exception]] = []
    park = consumer._park_locked

    def note(cursor: LockedCursor, error: Exception) -> None:
        failures.append((cursor, error))
        park(cursor, error)

    with patch.object(consumer, "_park_locked", note):
        yield
    if failures and parked == "raise":
        cursor, error = failures[0]
        error.add_note(f"consumer {consumer.name!r} parked {cursor.topic}/{cursor.key} after sequence {cursor.last}")
        raise error
