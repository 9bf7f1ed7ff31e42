"""From the outbox to the consumers as Kafka would do it: each key in order, headers and all, whatever else goes wrong.

Consumers apply through their own `process`, and their cursors tell what they still need.
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
from relay.consumer.cursors import Key, LockedCursor, find_behind
from relay.consumer.deliveries import Delivery, read_record
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
    """After many rounds there is still something to deliver: one event leads to another without end."""


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
    """Give each consumer what it has not applied, and what that leads to, until nothing is left; return how many.

    Without options everything comes once and in order. The options are what Kafka and a relay may do, and what the
    effects must not show. Shares are from 0 to 1, drawn by `seed`; a seed that was not given is printed.

    :param duplicate: the share of deliveries that come a second time, in a later batch.
    :param delay: the share of keys that are held back in a round while the others go on (below 1).
    :param lose: the share of records that never come. What follows, or the sweep at the end, shows that they lack.
    :param shuffle: mix the keys, never the events of one, and cut the batches by chance.
    :param parked: "raise" lets a handler's error out; "allow" parks its key, as it would be outside a test.
    :raises DeliveryLoops: there is something left after so many `rounds`.
    """
    if not all(0 <= share <= 1 for share in (duplicate, delay, lose)) or delay == 1:
        raise ValueError(f"duplicate={duplicate}, delay={delay} and lose={lose} are shares from 0 to 1, delay below 1")
    chosen = random.randrange(2**32) if seed is None else seed
    if seed is None and (duplicate or delay or lose or shuffle):
        print(f"to see the same again: deliver(..., seed={chosen})")
    wire = _Wire(random.Random(chosen), duplicate=duplicate, delay=delay, lose=lose, shuffle=shuffle)
    for _ in range(rounds):
        Outbox.objects.filter(published_at=None).update(published_at=Now())
        busy = [wire.hand_over(consumer, parked) for consumer in wire.mix(consumers)]
        if not any(busy) and not (lose and [key for consumer in consumers for key in sweep(consumer, parked)]):
            return wire.delivered.total()
    often = ", ".join(f"{what} ({times} times)" for what, times in wire.delivered.most_common(3))
    raise DeliveryLoops(f"something is left after {rounds} rounds; most often came {often}")


def redrive(*consumers: Consumer, parked: Parked = "raise") -> int:
    """Try every parked key again, due or not, as a person would have it done; return how many of them flow again."""
    flowing = 0
    for consumer in consumers:
        for cursor in ParkedKey.objects.filter(consumer=consumer.name).exclude(parked_at=None).order_by("topic", "key"):
            with surfacing_errors(consumer, parked):
                flowing += consumer.catch_up((cursor.topic, cursor.key))
    return flowing


def parked_keys(consumer: Consumer) -> dict[str, str]:
    """Return by key the reason why its events wait."""
    keys = ParkedKey.objects.filter(consumer=consumer.name).exclude(parked_at=None).order_by("topic", "key")
    return dict(keys.values_list("key", "reason"))


class _Wire:
    """What is on its way during one call of deliver()."""

    def __init__(self, dice: random.Random, *, duplicate: float, delay: float, lose: float, shuffle: bool) -> None:
        self._dice, self._duplicate, self._delay, self._lose, self._shuffle = dice, duplicate, delay, lose, shuffle
        self._sent: dict[str, set[int]] = defaultdict(set)
        self._again: dict[str, list[Delivery]] = defaultdict(list)
        self.delivered: Counter[str] = Counter()

    def mix(self, things: Sequence[T]) -> list[T]:
        """Return `things` in a random order if anything is shuffled."""
        return self._dice.sample(things, len(things)) if self._shuffle else list(things)

    def hand_over(self, consumer: Consumer, parked: Parked) -> bool:
        """Let the consumer process what comes in this round; tell whether anything did, or is still to come."""
        coming, held = self._take(consumer)
        for batch in self._cut(coming):
            with surfacing_errors(consumer, parked):
                consumer.process(batch)
        self.delivered.update(f"{delivery.type} of {delivery.topic}/{delivery.key}" for delivery in coming)
        return bool(coming or held)

    def _take(self, consumer: Consumer) -> tuple[list[Delivery], set[Key]]:
        """Return what comes now and which keys are held back; a duplicate comes one round after its original."""
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
        """Return one batch; or, if shuffled, several of mixed keys, each key's deliveries in their order."""
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
    """Return what a consumer gets once the row's record has gone through Kafka."""
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
    """Heal from the outbox what was lost at the end of a key, as a consumer does by itself, and return the keys."""
    behind = find_behind(consumer.name, consumer.topics, seconds=0)
    with surfacing_errors(consumer, parked):
        for key in behind:
            consumer.catch_up(key)
    return behind


@contextmanager
def surfacing_errors(consumer: Consumer, parked: Parked) -> Iterator[None]:
    """Raise, after the block and unless it is allowed, the first error for which the consumer parked a key in it."""
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
