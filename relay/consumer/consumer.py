"""Kafka -> handlers: each event is applied exactly once, and the events of a key in their order.

The cursor of a key moves in the transaction of the handlers' effects; the offset is committed after it. What Kafka
delivers again is known by its sequence number, what it skips is read from the outbox, and what fails parks its key
while every other key flows.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import Any, Literal, NamedTuple, TypeVar, overload

from relay.conf import configuration
from relay.consumer.arrivals import Arrival, UnreadableMessage, in_waves, read_arrival, take_delivery
from relay.consumer.breaker import Breaker
from relay.consumer.cursors import Key, LockedCursor, lock_cursors, move_cursors, read_end, read_outbox, unpark_cursor
from relay.consumer.deliveries import Delivery
from relay.consumer.parking import MissingEvents, park
from relay.database import transaction
from relay.process.failpoint import failpoint
from relay.process.loop import is_transient
from relay.publisher.event import Event
from relay.publisher.tracing import span_for

# A commit has a price of its own: on a slow disk, fewer at a time would only be slower, not shorter.
LEAST_TOGETHER = 50
# A gap that is wider than this is left to the key's redrive, which takes event by event.
MOST_HEALED = 500

E = TypeVar("E", bound=Event)
One = Callable[[E], None]
Many = Callable[[Sequence[E]], None]


class Handler(NamedTuple):
    """A function, and the classes of the events that it takes."""

    classes: tuple[type[Event], ...]
    call: Callable[[Sequence[Any]], None]


class Run(NamedTuple):
    """Arrivals of different keys, of events that share handlers (`group`), or that have none (0)."""

    group: int
    arrivals: list[Arrival]


class Pace:
    """How many arrivals fit into the time box of a transaction, learnt from the last ones."""

    def __init__(self) -> None:
        self.size = LEAST_TOGETHER

    def learn(self, done: int, seconds: float) -> None:
        """Take in that a transaction with `done` arrivals took `seconds`."""
        # Others publish for the same keys meanwhile and wait for the locks: a transaction is kept short.
        target = configuration().batch_seconds
        if done >= self.size or seconds > target:
            self.size = max(LEAST_TOGETHER, min(self.size * 2, int(done * target / max(seconds, 1e-6))))


class Consumer:
    """A named consumer: which events it handles, and how a batch of deliveries is applied."""

    def __init__(self, name: str, *, rebuild: Callable[[], None] | None = None, pace_ms: int | None = None) -> None:
        """Name it. `rebuild` empties all that its handlers have written, so that every event can be applied again.

        `pace_ms` replaces RELAY["PACE_MS"], the milliseconds between two rounds while few events come.
        """
        self.name = name
        self.pace_ms = pace_ms
        self.rebuild = rebuild
        self._handlers: list[Handler] = []
        # Classes whose events meet in one handler have one number.
        self._groups: dict[type[Event], int] = {}
        self._paces: dict[int, Pace] = defaultdict(Pace)
        #: Set by the process around it, which obeys it. Without one, whatever fails is parked.
        self.breaker: Breaker | None = None
        #: What was done since somebody last looked: events applied, duplicates, waiting behind a parked one, and so on.
        self.figures: Counter[str] = Counter()

    @overload
    def on(self, event_class: type[E], /, *, many: Literal[False] = False) -> Callable[[One[E]], One[E]]: ...
    @overload
    def on(self, event_class: type[E], /, *, many: Literal[True]) -> Callable[[Many[E]], Many[E]]: ...
    @overload
    def on(self, *event_classes: type[Event], many: bool = False) -> Callable[[Any], Any]: ...
    def on(self, *event_classes: type[Any], many: bool = False) -> Callable[[Any], Any]:
        """Declare a handler of events of `event_classes`. It runs in the consumer's transaction and may raise.

        An event whose handler raises parks its key. With `many` the handler takes a sequence of events, of which no
        two are of one key, sorted by key; it must have the same effect as taking them one by one. Handlers of several
        classes get the events of all of them in one call, and the transaction holds the events of one call: a handler
        that locks in one order over its whole sequence never meets another in the opposite order.
        """

        def declare(handler: Any) -> Any:
            def handle_one_by_one(events: Sequence[Any]) -> None:
                for event in events:
                    handler(event)

            self._handlers.append(Handler(event_classes, handler if many else handle_one_by_one))
            joined = {self._groups[kind] for kind in event_classes if kind in self._groups}
            number = min(joined, default=len(self._handlers))
            self._groups = {kind: number if group in joined else group for kind, group in self._groups.items()}
            self._groups |= dict.fromkeys(event_classes, number)
            return handler

        return declare

    @property
    def events(self) -> list[type[Event]]:
        """The classes of the handled events."""
        return list(self._groups)

    @property
    def topics(self) -> list[str]:
        """The topics of the handled events. Every event of these moves the cursor, handled or not."""
        return sorted({event_class.topic for event_class in self._groups})

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Apply each delivery, drop it as a duplicate, or park its key; then return.

        :raises OperationalError, InterfaceError: the database is at fault, not an event. Part of the batch may be
            applied; giving the whole batch again is safe.
        :raises CircuitOpened: too many keys fail. Likewise.
        """
        self.apply(self.arrange(map(take_delivery, deliveries)))

    def apply(self, runs: Sequence[Run]) -> None:
        """Apply what was arranged, as :meth:`process` does."""
        for run in runs:
            self._apply_run(run.group, run.arrivals)

    def arrange(self, arrivals: Iterable[Arrival]) -> list[Run]:
        """Put arrivals in the order in which to apply them. Another thread may do that while one applies others."""
        runs: list[Run] = []
        for wave in in_waves(arrivals):
            groups: dict[int, list[Arrival]] = defaultdict(list)
            for arrival in wave:
                event = arrival.event
                groups[self._groups.get(type(event), 0) if isinstance(event, Event) else 0].append(arrival)
            runs += starmap(Run, sorted(groups.items()))
        return runs

    def _apply_run(self, group: int, run: list[Arrival]) -> bool:
        """Apply a run, in as many transactions as its time box asks for; tell whether none of it failed."""
        pace, well = self._paces[group], True
        while run:
            batch, run = run[: pace.size], run[pace.size :]
            began = time.monotonic()
            try:
                self._apply(batch)
                pace.learn(len(batch), time.monotonic() - began)
            except Exception as error:
                if is_transient(error):
                    raise
                self._bisect(group, batch, error)
                well = False
        return well

    def _bisect(self, group: int, batch: list[Arrival], error: Exception) -> None:
        """Park what fails in a batch that failed as a whole; apply all the rest."""
        if len(batch) == 1:
            self._park(batch[0], error)
            return
        middle = len(batch) // 2
        first, second = batch[:middle], batch[middle:]
        if self._apply_run(group, first) and len(second) > 1:
            self._bisect(group, second, error)  # the failure must be in here: no need to see it again
        else:
            self._apply_run(group, second)

    def _apply(self, batch: list[Arrival]) -> None:
        """Apply arrivals of different keys in one transaction."""
        with transaction.atomic():
            cursors = lock_cursors(self.name, {arrival.key: arrival.sequence for arrival in batch})
            taken = [arrival for arrival in batch if self._take(cursors[arrival.key], arrival)]
            self._handle(taken)
            move_cursors(self.name, cursors.values())
            failpoint("consumer.applied")
        failpoint("consumer.committed")
        waiting = 0
        if len(taken) < len(batch):
            waiting = sum(cursors[arrival.key].parked_at is not None for arrival in batch)
        duplicates = len(batch) - len(taken) - waiting
        self.figures.update(applied=len(taken), duplicates=duplicates, waiting=waiting, batches=1)
        if self.breaker:
            self.breaker.succeed([arrival.key for arrival in taken])

    def _take(self, cursor: LockedCursor, arrival: Arrival) -> bool:
        """Move the cursor past the arrival, unless that has to wait or has been applied already; tell whether."""
        if cursor.parked_at is not None:
            return False  # read again from the outbox, in order, when the key is redriven
        if 0 < arrival.sequence <= cursor.last:
            return False  # a duplicate
        if arrival.sequence > cursor.last + 1:
            for row in read_outbox(cursor, limit=min(MOST_HEALED, arrival.sequence - cursor.last - 1)):
                cursor.last += 1
                self._handle([read_arrival(arrival.key, *row)])
        if arrival.sequence > cursor.last + 1:
            raise MissingEvents(f"after sequence {cursor.last} Kafka delivered {arrival.sequence}")
        cursor.last += 1
        return True

    def _handle(self, arrivals: Sequence[Arrival]) -> None:
        """Run the handlers of events that are all of one group and of different keys."""
        events = [arrival.read() for arrival in arrivals]
        if not any(type(event) in self._groups for event in events):
            return
        with span_for(self.name, arrivals[0].key[0], [arrival.traceparent for arrival in arrivals]):
            for handler in self._handlers:
                if chosen := [event for event in events if type(event) in handler.classes]:
                    handler.call(chosen)

    def _park(self, arrival: Arrival, error: Exception) -> None:
        if self.breaker and not isinstance(error, UnreadableMessage):
            self.breaker.fail(arrival.key, error)
        with transaction.atomic():
            cursor = lock_cursors(self.name, {arrival.key: 0})[arrival.key]
            # Since the rollback another process may have parked the key or gone past the event.
            if cursor.parked_at is None and (arrival.sequence == 0 or arrival.sequence > cursor.last):
                self._park_locked(cursor, error)

    def _park_locked(self, cursor: LockedCursor, error: Exception) -> None:
        self.figures["parked" if cursor.parked_at is None else "redrives_failed"] += 1
        park(self.name, cursor, error)

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
            except Exception as error:
                if is_transient(error):
                    raise
                with transaction.atomic():
                    cursor = lock_cursors(self.name, {key: 0})[key]
                    if moved:
                        unpark_cursor(self.name, cursor)  # another event fails than before: its pauses start anew
                    self._park_locked(cursor, error)
                return False

    def _apply_following(self, key: Key) -> bool:
        """Apply the event that follows the cursor, or unpark the key and return False when there is none."""
        cursor = lock_cursors(self.name, {key: 0})[key]
        end, floor = read_end(key)  # before the outbox, which can only have more by then
        following = next(read_outbox(cursor, limit=1), None)
        if following is None:
            if end > cursor.last:
                pruned = f": up to {floor} it is pruned" if floor > cursor.last else ""
                raise MissingEvents(f"after sequence {cursor.last} of {end} the outbox holds nothing{pruned}")
            unpark_cursor(self.name, cursor)
            return False
        cursor.last += 1
        self._handle([read_arrival(key, *following)])
        move_cursors(self.name, [cursor])
        return True
