"""Kafka -> handlers: each event is applied exactly once, and the events of one key are applied in order.

The cursor of a key moves in the transaction of the handlers' effects; the Kafka offset is committed afterwards.
Sequence numbers reveal duplicates, which are dropped, and gaps, which are filled from the outbox. An event that fails
parks its key, and all other keys continue.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any, Literal, NamedTuple, TypeVar, overload

from relay.conf import configuration
from relay.consumer.arrivals import Arrival, UnreadableMessage, read_arrival, read_delivery, split_into_waves
from relay.consumer.breaker import Breaker
from relay.consumer.cursors import (
    Key,
    LockedCursor,
    count_repeats,
    lock_cursors,
    move_cursors,
    read_end,
    read_outbox,
    unpark_cursor,
)
from relay.consumer.deliveries import Delivery
from relay.consumer.origin import ADVICE, Foreign, UnknownOrigin
from relay.consumer.parking import MissingEvents, park
from relay.consumer.screening import Applied, lock_and_screen
from relay.database import transaction
from relay.process.failpoint import failpoint
from relay.process.loop import is_transient
from relay.publisher.event import Event
from relay.publisher.tracing import span_for

logger = logging.getLogger(__name__)

# Lower bound of events in a transaction: on a slow disk, smaller batches cost more commits and save no time.
MIN_BATCH = 50
# A wider gap parks its key; the redrive then applies the events in one transaction each.
MAX_HEALED = 500
# Groups of arrivals without a handler. Each one that can't be read fails its transaction, so it has a separate one.
UNREADABLE, UNHANDLED = -1, 0

E = TypeVar("E", bound=Event)
One = Callable[[E], None]
Many = Callable[[Sequence[E]], None]


class Handler(NamedTuple):
    """A function, and the event classes that it handles."""

    classes: tuple[type[Event], ...]
    call: Callable[[Sequence[Any]], None]


class Run(NamedTuple):
    """Arrivals with different keys. Their events share the handlers of `group`, or have no handler."""

    group: int
    arrivals: list[Arrival]


class BatchSizer:
    """Number of arrivals that fit into RELAY["BATCH_SECONDS"], learned from previous transactions."""

    def __init__(self) -> None:
        self.size = MIN_BATCH

    def learn(self, done: int, seconds: float) -> None:
        """Adapt `size` to a transaction with `done` arrivals that took `seconds`."""
        # Publishers of the same keys wait for the transaction's locks, so transactions are short.
        target = configuration().batch_seconds
        if done >= self.size or seconds > target:
            self.size = max(MIN_BATCH, min(self.size * 2, int(done * target / max(seconds, 1e-6))))


class Consumer:
    """A named set of handlers, with the code that applies a batch of deliveries to them."""

    def __init__(
        self,
        name: str,
        *,
        rebuild: Callable[[], None] | None = None,
        pace_ms: int | None = None,
        rebuilt_by: str = "",
        followers: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Set the name, which is also the Kafka group and the owner of the cursors.

        :param rebuild: empties all tables that the handlers write, so that every event can be applied again.
        :param pace_ms: replaces RELAY["PACE_MS"], the milliseconds between two rounds while few events arrive.
        :param rebuilt_by: the command that rebuilds the tables, instead of `rebuild`.
        :param followers: returns names of other cursors that follow this consumer. Pruning waits for them, too.
        """
        self.name = name
        self.pace_ms = pace_ms
        self.rebuild = rebuild
        self.rebuilt_by = rebuilt_by
        self.followers = followers
        self._handlers: list[Handler] = []
        # Classes with a common handler have the same number.
        self._groups: dict[type[Event], int] = {}
        self._applied = Applied()
        self._sizers: dict[int, BatchSizer] = defaultdict(BatchSizer)
        #: Set by the Receiver. Without a breaker, each failure parks its key.
        self.breaker: Breaker | None = None
        #: Counters since the Receiver last reported them: applied, duplicates, waiting, parked and others.
        self.figures: Counter[str] = Counter()

    @overload
    def on(self, event_class: type[E], /, *, many: Literal[False] = False) -> Callable[[One[E]], One[E]]: ...
    @overload
    def on(self, event_class: type[E], /, *, many: Literal[True]) -> Callable[[Many[E]], Many[E]]: ...
    @overload
    def on(self, *event_classes: type[Event], many: bool = False) -> Callable[[Any], Any]: ...
    def on(self, *event_classes: type[Any], many: bool = False) -> Callable[[Any], Any]:
        """Register the decorated function as a handler of events of `event_classes`.

        The handler runs in the consumer's transaction. If the handler raises, the key of the event is parked.

        With `many` the handler receives a sequence of events, sorted by key, with at most one event of each key. Its
        effect must be the same as if it received them one by one. A handler of several classes gets the events of all
        these classes in one call. One transaction contains one call, so handlers that lock rows in the order of their
        sequence can't deadlock with each other.
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
        """The topics of the handled events, sorted. Every event of these topics moves the cursor, handled or not."""
        return sorted({event_class.topic for event_class in self._groups})

    def process(self, deliveries: Sequence[Delivery]) -> None:
        """Apply each delivery, drop it as a duplicate, or park its key.

        After an exception a part of the batch may be applied. Processing the whole batch again is safe.

        :raises OperationalError, InterfaceError: the database failed, and no event is at fault.
        :raises CircuitOpened: too many keys fail.
        """
        self.apply(self.arrange(map(read_delivery, deliveries)))

    def apply(self, runs: Sequence[Run]) -> None:
        """Apply `runs`, the result of :meth:`arrange`. Raises the exceptions of :meth:`process`."""
        for run in runs:
            self._apply_run(run.group, run.arrivals)

    def arrange(self, arrivals: Iterable[Arrival]) -> list[Run]:
        """Return `arrivals` as runs, in the order in which to apply them. Another thread may apply runs meanwhile."""
        runs: list[Run] = []
        for wave in split_into_waves(arrivals):
            groups: dict[int, list[Arrival]] = defaultdict(list)
            for arrival in wave:
                groups[self._find_group(arrival)].append(arrival)
            # Events without a handler join the transaction of another group, because each transaction costs a commit.
            if UNHANDLED in groups and (handled := max(groups)) > UNHANDLED:
                groups[handled] += groups.pop(UNHANDLED)
            runs += starmap(Run, sorted(groups.items()))
        return runs

    def _find_group(self, arrival: Arrival) -> int:
        if isinstance(arrival.event, Exception):
            return UNREADABLE
        return self._groups.get(type(arrival.event), UNHANDLED)

    def _apply_run(self, group: int, run: list[Arrival]) -> bool:
        """Apply a run in transactions of about BATCH_SECONDS; return whether no event failed."""
        sizer, well = self._sizers[group], True
        while run:
            batch, run = run[: sizer.size], run[sizer.size :]
            began = time.monotonic()
            try:
                self._apply(batch)
                sizer.learn(len(batch), time.monotonic() - began)
            except Exception as error:
                if is_transient(error):
                    raise
                self._bisect(group, batch, error)
                well = False
        return well

    def _bisect(self, group: int, batch: list[Arrival], error: Exception) -> None:
        """Find the failing events of a failed batch by halving it; park their keys and apply the other events."""
        if len(batch) == 1:
            self._park(batch[0], error)
            return
        middle = len(batch) // 2
        first, second = batch[:middle], batch[middle:]
        if self._apply_run(group, first) and len(second) > 1:
            self._bisect(group, second, error)  # the first half succeeded, so the failing event is in the second
        else:
            self._apply_run(group, second)

    def _apply(self, batch: list[Arrival]) -> None:
        """Apply arrivals with different keys in one transaction."""
        with transaction.atomic():
            if self._applied.is_old:
                self._applied.read(self.name, self.topics)
            cursors, batch, foreign = lock_and_screen(self.name, batch, since=self._applied.position)
            self._park_foreign(cursors, foreign)
            taken = [arrival for arrival in batch if self._take(cursors[arrival.key], arrival)]
            self._handle(taken)
            move_cursors(self.name, cursors.values())
            waiting = duplicates = 0
            if len(taken) < len(batch):
                kept = {arrival.key for arrival in taken}
                left = [arrival.key for arrival in batch if arrival.key not in kept]
                waiting = sum(cursors[key].parked_at is not None for key in left)
                duplicates = len(left) - waiting
                count_repeats(self.name, [key for key in left if cursors[key].parked_at is None])
            failpoint("consumer.applied")
        failpoint("consumer.committed")
        self.figures.update(applied=len(taken), duplicates=duplicates, waiting=waiting, foreign=len(foreign), batches=1)
        if self.breaker:
            self.breaker.succeed([arrival.key for arrival in taken])

    def _park_foreign(self, cursors: Mapping[Key, LockedCursor], foreign: Iterable[Foreign]) -> None:
        """Park the keys of `foreign` records. A repeated number needs no parking, because nothing is applied."""
        for found in foreign:
            problem = UnknownOrigin(f"{found.describe()}. {ADVICE}")
            cursor = cursors[found.key]
            if cursor.parked_at is None and found.delivery.sequence > cursor.last:
                self._park_locked(cursor, problem)
            else:
                logger.error("foreign record", extra={"consumer": self.name, "problem": str(problem)})

    def _take(self, cursor: LockedCursor, arrival: Arrival) -> bool:
        """Move `cursor` to the arrival; return False if the key is parked or the arrival is a duplicate."""
        if cursor.parked_at is not None:
            return False  # the redrive reads the event from the outbox
        if 0 < arrival.sequence <= cursor.last:
            return False  # a duplicate
        if arrival.sequence > cursor.last + 1:
            for row in read_outbox(cursor, limit=min(MAX_HEALED, arrival.sequence - cursor.last - 1)):
                cursor.last += 1
                self._handle([read_arrival(arrival.key, *row)])
        if arrival.sequence > cursor.last + 1:
            raise MissingEvents(
                f"after sequence {cursor.last} Kafka delivered {arrival.sequence}, and the outbox did not fill the gap"
            )
        cursor.last += 1
        return True

    def _handle(self, arrivals: Sequence[Arrival]) -> None:
        """Run the handlers for arrivals of one group with different keys."""
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
            # Since the rollback another process may have parked the key or applied the event.
            if cursor.parked_at is None and (arrival.sequence == 0 or arrival.sequence > cursor.last):
                self._park_locked(cursor, error)

    def _park_locked(self, cursor: LockedCursor, error: Exception) -> None:
        self.figures["parked" if cursor.parked_at is None else "redrives_failed"] += 1
        park(self.name, cursor, error)

    def catch_up(self, key: Key) -> bool:
        """Apply all events of `key` that follow its cursor in the outbox, then unpark it; return whether all succeeded.

        Each event has its own transaction, so that a failure does not undo the events before it.
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
                        unpark_cursor(self.name, cursor)  # a later event fails now, so the retry schedule restarts
                    self._park_locked(cursor, error)
                return False

    def _apply_following(self, key: Key) -> bool:
        """Apply the event that follows the cursor and return True; if there is none, unpark `key` and return False."""
        cursor = lock_cursors(self.name, {key: 0})[key]
        end, floor = read_end(key)  # before the outbox: an event that is published between both is then no gap
        following = next(read_outbox(cursor, limit=1), None)
        if following is None:
            if end > cursor.last:
                pruned = f"; events up to {floor} are pruned" if floor > cursor.last else ""
                raise MissingEvents(f"the outbox has no event after sequence {cursor.last} of {end}{pruned}")
            unpark_cursor(self.name, cursor)
            return False
        cursor.last += 1
        self._handle([read_arrival(key, *following)])
        move_cursors(self.name, [cursor])
        return True
