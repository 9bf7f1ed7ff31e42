"""What arrives, as the consumer sees it: read before any lock is taken, and put in the order in which it is applied."""

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from relay.consumer.cursors import Key
from relay.consumer.deliveries import Delivery
from relay.publisher.event import Event
from relay.publisher.topics import decode_event

_key_of = attrgetter("key")


class UnreadableMessage(ValueError):
    """A record of the topic is not an event of ours. Waits for a person, since it will not get better by itself."""


class Arrival(NamedTuple):
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


def in_waves(arrivals: Iterable[Arrival]) -> list[list[Arrival]]:
    """Order a batch so that wave n holds each key's n-th arrival, sorted by key.

    Handlers publish and lock by key: with every consumer going through the keys in one order, none deadlocks.
    """
    seen: dict[Key, int] = {}
    waves: list[list[Arrival]] = []
    for arrival in arrivals:
        number = seen.get(arrival.key, 0)
        if number == len(waves):
            waves.append([])
        waves[number].append(arrival)
        seen[arrival.key] = number + 1
    for wave in waves:
        wave.sort(key=_key_of)
    return waves
