"""Arrivals: deliveries decoded before any lock is taken, and sorted into the order in which they are applied."""

from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

from relay.consumer.cursors import Key
from relay.consumer.deliveries import Delivery
from relay.publisher.event import Event
from relay.publisher.topics import decode_event

_key_of = attrgetter("key")


class UnreadableMessage(ValueError):
    """A record of the topic is not an event of this project. Retries cannot help, so its key waits for a person."""


class Arrival(NamedTuple):
    """A key, a sequence number (0: unknown), and the event, or the exception that prevented decoding it.

    An arrival from Kafka has its `delivery` and the `digest` of the delivery; an arrival from the outbox has neither.
    """

    key: Key
    sequence: int
    event: Event | Exception
    traceparent: str
    digest: str = ""
    delivery: Delivery | None = None

    def read(self) -> Event:
        """Return the event.

        :raises Exception: the stored exception, if the event could not be decoded.
        """
        if isinstance(self.event, Exception):
            raise self.event
        return self.event


def read_arrival(key: Key, sequence: int, event_type: str, value: bytes | str, traceparent: str) -> Arrival:
    """Return the arrival of an event, decoded even if no handler wants it, so that unreadable records are noticed."""
    event: Event | Exception
    try:
        event = decode_event(event_type, key[0], value)
        if event.key != key[1]:
            event = UnreadableMessage(f"the record has key {key[1]!r}, but its {event_type} has key {event.key!r}")
    except Exception as error:
        event = error
    return Arrival(key, sequence, event, traceparent)


def read_delivery(delivery: Delivery) -> Arrival:
    """Return the arrival of `delivery`."""
    key = delivery.topic, delivery.key
    if delivery.problem:
        return Arrival(key, 0, UnreadableMessage(delivery.problem), delivery.traceparent)
    arrival = read_arrival(key, delivery.sequence, delivery.type, delivery.value, delivery.traceparent)
    return arrival._replace(digest=delivery.digest, delivery=delivery)


def split_into_waves(arrivals: Iterable[Arrival]) -> list[list[Arrival]]:
    """Return waves: wave n holds the n-th arrival of each key, sorted by key.

    Handlers publish and lock by key. All consumers use one order of keys, so they cannot deadlock.
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
