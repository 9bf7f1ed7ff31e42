"""Kafka -> handlers: each event is applied exactly once, and the events of a key in their order.

The cursor of a key moves in the transaction of the handlers' effects; the offset is committed after it. What Kafka
delivers again is known by its sequence number, what it skips is read from the outbox, and what fails parks its key
while every other key flows.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import transaction

from relay.cursors import (
    Key,
    LockedCursor,
    lock_cursors,
    move_cursors,
    park_cursor,
    read_end,
    read_outbox,
    unpark_cursor,
)
from relay.event import Event
from relay.failpoint import failpoint
from relay.kafka import Delivery
from relay.loop import TRANSIENT
from relay.topics import UnknownEventType, decode_event
from relay.tracing import span_for

logger = logging.getLogger(__name__)

# Others publish for the same keys meanwhile and wait for these locks: keep a transaction short.
BATCH_SECONDS = 0.1
# So is a gap that is wider than this left to the key's redrive, which takes event by event.
MOST_HEALED = 500
# Pauses before a parked key is tried again; after the last one it waits for a person.
RETRY_SECONDS = [1.0, 10.0, 60.0, 600.0]
UNKNOWN_TYPE_RETRY_SECONDS = [60.0] * 100

E = TypeVar("E", bound=Event)
Handler = Callable[[Any], None]


class UnreadableMessage(ValueError):
    """A record of the topic is not an event of ours. Waits for a person, since it will not get better by itself."""


class MissingEvents(LookupError):
    """Kafka skipped sequence numbers that the outbox does not hold either, or too many to apply with one batch."""


class Consumer:
    """A named consumer: which events it handles, and how a batch of deliveries is applied."""

    def __init__(self, name: str, *, rebuild: Callable[[], None] | None = None) -> None:
        """Name it. `rebuild` empties all that its handlers have written, so that every event can be applied again."""
        self.name = name
        self.rebuild = rebuild
        self._handlers: dict[type[Event], list[Handler]] = {}
        self._topics: set[str] = set()

    def on(self, event_class: type[E]) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
        """Declare a handler of `event_class`. It runs in the consumer's transaction and may raise: the key parks."""

        def declare(handler: Callable[[E], None]) -> Callable[[E], None]:
            self._handlers.setdefault(event_class, []).append(handler)
            self._topics.add(event_class.topic)
            return handler

        return declare

    @property
    def topics(self) -> list[str]:
        """The topics of the handled events. Every event of these moves the cursor, handled or not."""
        return sorted(self._topics)

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Apply each delivery, drop it as a duplicate, or park its key; then return.

        :raises OperationalError, InterfaceError: the database is at fault, not an event. Part of the batch may be
            applied; giving the whole batch again is safe.
        """
        remaining = in_waves(deliveries)
        while remaining:
            remaining = remaining[self._process_first(remaining) :]

    def _process_first(self, deliveries: list[Delivery]) -> int:
        """Apply as many as fit into the time box and return their number. Bisects when one of them fails."""
        try:
            return self._apply(deliveries)
        except TRANSIENT:
            raise
        except Exception as error:
            failure = error
        if len(deliveries) == 1:
            self._park(deliveries[0], failure)
            return 1
        return self._process_first(deliveries[: len(deliveries) // 2])

    def _apply(self, deliveries: list[Delivery]) -> int:
        deadline = time.monotonic() + BATCH_SECONDS
        with transaction.atomic():
            cursors = lock_cursors(self.name, [(d.topic, d.key) for d in deliveries])
            before = {key: cursor.last for key, cursor in cursors.items()}
            done = 0
            for delivery in deliveries:
                self._apply_one(cursors[delivery.topic, delivery.key], delivery)
                done += 1
                if time.monotonic() > deadline:
                    break
            move_cursors(cursor for key, cursor in cursors.items() if cursor.last != before[key])
            failpoint("consumer.applied")
        failpoint("consumer.committed")
        return done

    def _apply_one(self, cursor: LockedCursor, delivery: Delivery) -> None:
        if cursor.parked_at is not None:
            return  # read again from the outbox, in order, when the key is redriven
        if delivery.problem:
            raise UnreadableMessage(delivery.problem)
        if delivery.sequence <= cursor.last:
            return  # a duplicate
        if delivery.sequence > cursor.last + 1:
            for _, *following in read_outbox(cursor, before=delivery.sequence, limit=MOST_HEALED):
                self._handle(cursor, *following)
        if delivery.sequence != cursor.last + 1:
            raise MissingEvents(f"after sequence {cursor.last} Kafka delivered {delivery.sequence}")
        self._handle(cursor, delivery.type, delivery.value, delivery.traceparent)

    def _handle(self, cursor: LockedCursor, event_type: str, value: bytes | str, traceparent: str) -> None:
        """Run the handlers of the event that follows the cursor, if there are any, and move the cursor past it.

        An event that nobody here handles is read all the same: what can't be read is not passed by in silence.
        """
        event = decode_event(event_type, cursor.topic, value)
        if event.key != cursor.key:
            raise UnreadableMessage(f"the {event_type} inside belongs to key {event.key!r}")
        if handlers := self._handlers.get(type(event)):
            with span_for(self.name, cursor.topic, [traceparent]):
                for handler in handlers:
                    handler(event)
        cursor.last += 1

    def _park(self, delivery: Delivery, error: Exception) -> None:
        with transaction.atomic():
            cursor = lock_cursors(self.name, [(delivery.topic, delivery.key)])[delivery.topic, delivery.key]
            # Since the rollback another process may have parked the key or gone past the event.
            if cursor.parked_at is None and (delivery.problem or delivery.sequence > cursor.last):
                self._park_locked(cursor, error)

    def _park_locked(self, cursor: LockedCursor, error: Exception) -> None:
        pauses = RETRY_SECONDS
        if isinstance(error, UnreadableMessage):
            pauses = []
        elif isinstance(error, UnknownEventType):
            pauses = UNKNOWN_TYPE_RETRY_SECONDS
        next_try_at = park_cursor(cursor, f"{type(error).__name__}: {error}", pauses)
        again = next_try_at.isoformat() if next_try_at else "when a person redrives it"
        where = {"consumer": self.name, "topic": cursor.topic, "key": cursor.key, "tried_again": again}
        logger.error("key parked", extra=where, exc_info=error)

    def catch_up(self, key: Key) -> bool:
        """Apply everything that the outbox holds for `key` after its cursor, and unpark it; tell whether that worked.

        Each event has a transaction of its own, so that a failure keeps what came before it.
        """
        moved = False
        while True:
            try:
                with transaction.atomic():
                    if not self._apply_following(key):
                        return True
                moved = True
            except TRANSIENT:
                raise
            except Exception as error:
                with transaction.atomic():
                    cursor = lock_cursors(self.name, [key])[key]
                    if moved:
                        unpark_cursor(cursor)  # another event fails than before: its pauses start anew
                    self._park_locked(cursor, error)
                return False

    def _apply_following(self, key: Key) -> bool:
        """Apply the event that follows the cursor, or unpark the key and return False when there is none."""
        cursor = lock_cursors(self.name, [key])[key]
        end = read_end(key)  # before the outbox, which can only have more by then
        following = next(read_outbox(cursor, limit=1), None)
        if following is None:
            if end > cursor.last:
                raise MissingEvents(f"after sequence {cursor.last} of {end} the outbox holds nothing")
            unpark_cursor(cursor)
            return False
        self._handle(cursor, *following[1:])
        move_cursors([cursor])
        return True


def in_waves(deliveries: Sequence[Delivery]) -> list[Delivery]:
    """Order a batch so that wave n holds each key's n-th delivery, sorted by key.

    Handlers publish and lock by key: with every consumer going through the keys in one order, none deadlocks.
    """
    seen: Counter[Key] = Counter()
    waves: list[tuple[int, str, str, Delivery]] = []
    for delivery in deliveries:
        key = (delivery.topic, delivery.key)
        waves.append((seen[key], *key, delivery))
        seen[key] += 1
    return [wave[3] for wave in sorted(waves, key=lambda wave: wave[:3])]
