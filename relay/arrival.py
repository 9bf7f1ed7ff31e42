"""What arrives, as the consumer sees it: read before any lock is taken, and put in the order in which it is applied."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from relay.cursors import Key
from relay.event import Event
from relay.kafka import Delivery
from relay.topics import decode_event


class UnreadableMessage(ValueError):
    """A record of the topic is not an event of ours. Waits for a person, since it will not get better by itself."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A place in a key (`sequence` 0: unknown), and the event there or why there is none."""

    key: Key
    sequence: int
    event: Event | Exception
    traceparent: str

    def read(self) -> Event:
        """Return the event, or raise why there is none: only now that its turn has come does that matter."""
        if isinstance(self.event, Exception):
            raise self.event
        return self.event


def read_arrival(key: Key, sequence: int, event_type: str, value: bytes | str, traceparent: str) -> Arrival:
    """Read an event, handled here or not: what can't be read is not passed by in silence."""
    event: Event | Exception
    try:
        event = decode_event(event_type, key[0], value)
        if event.key != key[1]:
            event = UnreadableMessage(f"the {event_type} inside belongs to key {event.key!r}")
    except Exception as error:
        event = error
    return Arrival(key, sequence, event, traceparent)


def take_delivery(delivery: Delivery) -> Arrival:
    """Read a delivery."""
    key = delivery.topic, delivery.key
    if delivery.problem:
        return Arrival(key, 0, UnreadableMessage(delivery.problem), delivery.traceparent)
    return read_arrival(key, delivery.sequence, delivery.type, delivery.value, delivery.traceparent)


def in_waves(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Order a batch so that wave n holds each key's n-th delivery, sorted by key.

    Handlers publish and lock by key: with every consumer going through the keys in one order, none deadlocks.
    """
    seen: Counter[Key] = Counter()
    waves: list[list[Delivery]] = []
    for delivery in deliveries:
        key = (delivery.topic, delivery.key)
        if seen[key] == len(waves):
            waves.append([])
        waves[seen[key]].append(delivery)
        seen[key] += 1
    return [sorted(wave, key=lambda delivery: (delivery.topic, delivery.key)) for wave in waves]
