"""Kafka -> handlers: each event is applied exactly once, and the events of a key in their order.

The cursor of a key moves in the transaction of the handlers' effects; the offset is committed after it. What Kafka
delivers again is known by its sequence number, what it skips is read from the outbox, and what fails parks its key
while every other key flows.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, TypeVar, overload

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
from relay.topics import UnknownEventType, decode_event, known_events
from relay.tracing import span_for

logger = logging.getLogger(__name__)

# Others publish for the same keys meanwhile and wait for these locks: keep a transaction short.
BATCH_SECONDS = 0.1
# But a commit has a price of its own: on a slow disk, fewer at a time would only be slower, not shorter.
LEAST_TOGETHER = 50
# So is a gap that is wider than this left to the key's redrive, which takes event by event.
MOST_HEALED = 500
# Pauses before a parked key is tried again; after the last one it waits for a person.
RETRY_SECONDS = [1.0, 10.0, 60.0, 600.0]
UNKNOWN_TYPE_RETRY_SECONDS = [60.0] * 100

E = TypeVar("E", bound=Event)
One = Callable[[E], None]
Many = Callable[[Sequence[E]], None]


class UnreadableMessage(ValueError):
    """A record of the topic is not an event of ours. Waits for a person, since it will not get better by itself."""


class MissingEvents(LookupError):
    """Kafka skipped sequence numbers that the outbox does not hold either, or too many to apply with one batch."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery as the consumer sees it: its place in its key (0: unknown), and its event or why there is none."""

    key: Key
    sequence: int
    event: Event | Exception
    traceparent: str

    def read(self) -> Event:
        """Return the event, or raise why there is none: only now that its turn has come does that matter."""
        if isinstance(self.event, Exception):
            raise self.event
        return self.event


class Pace:
    """How many arrivals fit into the time box of a transaction, learnt from the last ones."""

    def __init__(self) -> None:
        self.size = LEAST_TOGETHER

    def learn(self, done: int, seconds: float) -> None:
        """Take in that a transaction with `done` arrivals took `seconds`."""
        if done >= self.size or seconds > BATCH_SECONDS:
            self.size = max(LEAST_TOGETHER, min(self.size * 2, int(done * BATCH_SECONDS / max(seconds, 1e-6))))


class Consumer:
    """A named consumer: which events it handles, and how a batch of deliveries is applied."""

    def __init__(self, name: str, *, rebuild: Callable[[], None] | None = None) -> None:
        """Name it. `rebuild` empties all that its handlers have written, so that every event can be applied again."""
        self.name = name
        self.rebuild = rebuild
        self._handlers: dict[type[Event], list[Callable[[Sequence[Any]], None]]] = {}
        self._many: set[type[Event]] = set()
        self._paces: dict[str, Pace] = defaultdict(Pace)

    @overload
    def on(self, event_class: type[E], *, many: Literal[False] = False) -> Callable[[One[E]], One[E]]: ...
    @overload
    def on(self, event_class: type[E], *, many: Literal[True]) -> Callable[[Many[E]], Many[E]]: ...
    def on(self, event_class: type[E], *, many: bool = False) -> Callable[[Any], Any]:
        """Declare a handler of `event_class`. It runs in the consumer's transaction and may raise: the key parks.

        With `many` it takes a sequence of events, of which no two are of one key, sorted by key; it must have the
        same effect as taking them one by one. The transaction then holds this one call, so that a handler that locks
        in one order over its whole sequence never meets another in the opposite order.
        """

        def declare(handler: Any) -> Any:
            def handle_one_by_one(events: Sequence[Any]) -> None:
                for event in events:
                    handler(event)

            self._handlers.setdefault(event_class, []).append(handler if many else handle_one_by_one)
            if many:
                self._many.add(event_class)
            return handler

        return declare

    @property
    def events(self) -> list[type[Event]]:
        """The classes of the handled events."""
        return list(self._handlers)

    @property
    def topics(self) -> list[str]:
        """The topics of the handled events. Every event of these moves the cursor, handled or not."""
        return sorted({event_class.topic for event_class in self._handlers})

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Apply each delivery, drop it as a duplicate, or park its key; then return.

        :raises OperationalError, InterfaceError: the database is at fault, not an event. Part of the batch may be
            applied; giving the whole batch again is safe.
        """
        for kind, run in self._cut_into_runs(deliveries):
            self._apply_run(kind, run)

    def _cut_into_runs(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[Arrival]]]:
        """Yield (type, arrivals) for each call of a many-handler, and ("", arrivals) for those taken one by one."""
        kinds = {name: name for name, event_class in known_events().items() if event_class in self._many}
        ordered = [
            (wave, kinds.get(delivery.type, ""), delivery)
            for wave, deliveries_of_wave in enumerate(in_waves(deliveries))
            for delivery in deliveries_of_wave
        ]
        ordered.sort(key=lambda entry: entry[:2])
        for (_, kind), run in groupby(ordered, key=lambda entry: (entry[1] and entry[0], entry[1])):
            yield kind, [take_delivery(delivery) for _, _, delivery in run]

    def _apply_run(self, kind: str, run: list[Arrival]) -> bool:
        """Apply a run, in as many transactions as its time box asks for; tell whether none of it failed."""
        pace, well = self._paces[kind], True
        while run:
            batch = run[: pace.size]
            began = time.monotonic()
            try:
                done = self._apply(batch, together=bool(kind))
                pace.learn(done, time.monotonic() - began)
            except TRANSIENT:
                raise
            except Exception as error:
                self._bisect(kind, batch, error)
                done, well = len(batch), False
            run = run[done:]
        return well

    def _bisect(self, kind: str, batch: list[Arrival], error: Exception) -> None:
        """Park what fails in a batch that failed as a whole; apply all the rest."""
        if len(batch) == 1:
            self._park(batch[0], error)
            return
        middle = len(batch) // 2
        first, second = batch[:middle], batch[middle:]
        if self._apply_run(kind, first) and len(second) > 1:
            self._bisect(kind, second, error)  # the failure must be in here: no need to see it again
        else:
            self._apply_run(kind, second)

    def _apply(self, batch: list[Arrival], *, together: bool) -> int:
        """Apply arrivals in one transaction until its time is up, all in one call if `together`; return how many."""
        deadline = time.monotonic() + BATCH_SECONDS
        with transaction.atomic():
            cursors = lock_cursors(self.name, [arrival.key for arrival in batch])
            before = {key: cursor.last for key, cursor in cursors.items()}
            done = 0
            for part in [batch] if together else ([arrival] for arrival in batch):
                self._handle([arrival for arrival in part if self._take(cursors[arrival.key], arrival)])
                done += len(part)
                if time.monotonic() > deadline:
                    break
            move_cursors(cursor for key, cursor in cursors.items() if cursor.last != before[key])
            failpoint("consumer.applied")
        failpoint("consumer.committed")
        return done

    def _take(self, cursor: LockedCursor, arrival: Arrival) -> bool:
        """Move the cursor past the arrival, unless that has to wait or has been applied already; tell whether."""
        if cursor.parked_at is not None:
            return False  # read again from the outbox, in order, when the key is redriven
        if 0 < arrival.sequence <= cursor.last:
            return False  # a duplicate
        if arrival.sequence > cursor.last + 1:
            for row in read_outbox(cursor, before=arrival.sequence, limit=MOST_HEALED):
                cursor.last += 1
                self._handle([read_arrival(arrival.key, *row)])
        if arrival.sequence > cursor.last + 1:
            raise MissingEvents(f"after sequence {cursor.last} Kafka delivered {arrival.sequence}")
        cursor.last += 1
        return True

    def _handle(self, arrivals: Sequence[Arrival]) -> None:
        """Run the handlers of events that are all of one class and of different keys."""
        events = [arrival.read() for arrival in arrivals]
        if events and (handlers := self._handlers.get(type(events[0]))):
            with span_for(self.name, arrivals[0].key[0], [arrival.traceparent for arrival in arrivals]):
                for handler in handlers:
                    handler(events)

    def _park(self, arrival: Arrival, error: Exception) -> None:
        with transaction.atomic():
            cursor = lock_cursors(self.name, [arrival.key])[arrival.key]
            # Since the rollback another process may have parked the key or gone past the event.
            if cursor.parked_at is None and (arrival.sequence == 0 or arrival.sequence > cursor.last):
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
        end, floor = read_end(key)  # before the outbox, which can only have more by then
        following = next(read_outbox(cursor, limit=1), None)
        if following is None:
            if end > cursor.last:
                pruned = f": up to {floor} it is pruned" if floor > cursor.last else ""
                raise MissingEvents(f"after sequence {cursor.last} of {end} the outbox holds nothing{pruned}")
            unpark_cursor(cursor)
            return False
        cursor.last += 1
        self._handle([read_arrival(key, *following)])
        move_cursors([cursor])
        return True


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
    """Read a delivery before any lock is taken."""
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
