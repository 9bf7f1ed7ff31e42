"""The filler gives the events that the current generation has applied to the other generation.

First it walks through the outbox by position, which is fast because neighbouring events touch the same rows. Then it
compares the cursors of both generations, key by key, and applies what is left. Events above the cursor of the current
generation are never applied, so both generations are equal when no cursor differs.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from analytics.facts.consumer import declare_consumer
from analytics.generation import CONSUMER, Generation
from analytics.models import GenerationChoice
from relay import Event
from relay.consumer.arrivals import Arrival, read_arrival
from relay.consumer.breaker import Breaker
from relay.consumer.cursors import Key
from relay.operations import Refused
from relay.partitions import read_position

#: Positions of the outbox that one step reads: without other traffic, and while events arrive.
STEP, BUSY_STEP = 4000, 250
#: While at least this number of events arrives per second, a pause of PAUSE times its duration follows each step.
BUSY_RATE, PAUSE = 3.0, 2.0
#: The rate of the arriving events is measured over at least this time, in seconds.
RATE_SECONDS = 1.0
#: Two processes share the keys by a bit of their hash: the keys of the first and of the second process.
FIRST, SECOND = 0, 1
#: Steps of the walk between two computations of sessions.
SESSION_STEPS = 10
#: Keys whose cursors differ that one step catches up.
KEYS = 1000

# Keys with a skipped event wait for the comparison of the cursors: the gap must not be filled from the outbox.
_STEP = """
select o.topic, o.key, o.sequence, o.type, o.body, o.traceparent from relay_outbox o
cross join lateral (select last from relay_cursor
                    where consumer = %(consumer)s and topic = o.topic and key = o.key offset 0) c
where o.position > %(after)s and o.position <= %(until)s and o.topic = any(%(topics)s) and o.sequence <= c.last
  and (%(half)s::int is null or o.key_hash & 1 = %(half)s::int)
  and (o.topic, o.key) not in (select topic, key from relay_intervention
                               where action = 'skip' and consumer = %(consumer)s)
order by o.position
"""
# The number of events of the last seconds, at most 1,000.
_NEWEST = """
select count(*) from (select created_at from relay_outbox order by position desc limit 1000) newest
where created_at > statement_timestamp() - make_interval(secs => %s)
"""
_DIFFERENCES = """
select a.topic, a.key, coalesce(b.last, 0), a.last from relay_cursor a
left join relay_cursor b on b.consumer = %(next)s and b.topic = a.topic and b.key = a.key
where a.consumer = %(consumer)s and a.topic = any(%(topics)s) and a.last > coalesce(b.last, 0)
limit %(keys)s
"""
_MISSING = """
select o.topic, o.key, o.sequence, o.type, o.body, o.traceparent,
       exists (select from relay_intervention i where i.action = 'skip' and i.consumer = %(consumer)s
                 and i.topic = o.topic and i.key = o.key and i.sequence = o.sequence)
from unnest(%(of)s::text[], %(key)s::text[], %(above)s::bigint[], %(until)s::bigint[])
    as wanted (topic, key, above, until)
cross join lateral (
    select * from relay_outbox where topic = wanted.topic and key = wanted.key
    and sequence > wanted.above and sequence <= wanted.until offset 0) o
order by o.position
"""


class Skipped:
    """Replaces an event that a person has skipped: the cursor moves, and no handler runs."""


class FirstFailure(Breaker):
    """Ends the build at the first event that fails, instead of parking its key."""

    def fail(self, key: Key, error: Exception) -> None:
        """Report the failure.

        :raises Refused: always.
        """
        raise Refused(
            f"the event after the last applied one of {key[0]} {key[1]} can't be applied to the new generation:"
            f" {type(error).__name__}: {error}. The build stops, and readers keep the current generation. Correct the"
            " handler and run the rebuild again: it continues here"
        ) from error


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the walk through the outbox is. `rate` is in events per second, `seconds` is the predicted remainder."""

    events: int
    position: int
    target: int
    rate: float
    seconds: float | None


class Arrivals:
    """The rate of the events that arrive in the outbox.

    :param position: the highest position of the outbox.
    """

    def __init__(self, position: int) -> None:
        self._position, self._since = position, time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(_NEWEST, [RATE_SECONDS])
            #: Events per second.
            self.rate = cursor.fetchone()[0] / RATE_SECONDS

    def note(self, position: int) -> None:
        """Note the new highest `position`."""
        seconds = time.monotonic() - self._since
        if seconds >= RATE_SECONDS:
            self.rate = (position - self._position) / seconds
            self._position, self._since = position, time.monotonic()


class Filler:
    """Fills `generation`. Every method may be repeated after an interruption.

    :param half: of two processes, the keys that this one walks through; None: all keys.
    """

    def __init__(self, generation: Generation, *, half: int | None = None) -> None:
        self.generation = generation
        self.half = half
        self._step = STEP if half is None else 2 * STEP  # of the events of each step, the other process applies a half
        self.consumer = declare_consumer(generation)
        self.consumer.breaker = FirstFailure(self.consumer)
        self._values: dict[str, Any] = {"consumer": CONSUMER, "next": generation.consumer, "half": half}
        self._values["topics"] = self.consumer.topics

    def walk(self, choice: GenerationChoice) -> Iterator[Progress]:
        """Apply the events of the outbox by position, from the stored one on, and yield the progress of each step."""
        began, start, done = time.monotonic(), max(choice.position, find_first_position() - 1), 0
        at, seen, events = start, read_position(), choice.events
        arrivals = Arrivals(seen)
        while at < seen:
            step_began, is_busy = time.monotonic(), arrivals.rate >= BUSY_RATE
            until = min(at + (BUSY_STEP if is_busy else self._step), seen)
            done += self.apply_stretch(at, until)
            took, seen, at = time.monotonic() - step_began, read_position(), until
            arrivals.note(seen)
            events += self._take_count()
            choice.events, choice.position, choice.target = events, at, seen
            seconds = time.monotonic() - began
            choice.rate = done / seconds
            save_progress(choice, self.half, seconds)
            per_second = (choice.position - start) / seconds - arrivals.rate
            left = (seen - choice.position) / per_second if per_second > 0 else None
            yield Progress(choice.events, choice.position, seen, choice.rate, left)
            if is_busy:
                time.sleep(PAUSE * took)

    def _take_count(self) -> int:
        """Return the number of events that were applied since the last call."""
        applied = self.consumer.figures["applied"]
        self.consumer.figures.clear()
        return applied

    def apply_stretch(self, after: int, until: int) -> int:
        """Apply the events with positions (after, until] that the current generation has applied; return the number."""
        with connection.cursor() as cursor:
            cursor.execute(_STEP, self._values | {"after": after, "until": until})
            rows = cursor.fetchall()
        self._apply([read_arrival((topic, key), *row) for topic, key, *row in rows])
        return len(rows)

    def catch_up(self) -> int:
        """Apply all events by which the cursors differ; return their number. Afterwards no cursor is behind."""
        applied, last = 0, list[tuple[Any, ...]]()
        with connection.cursor() as cursor:
            while behind := self._find_differences(cursor):
                if behind == last:
                    topic, key, ours, theirs = behind[0]
                    raise Refused(f"the outbox lacks events of {topic} {key} after {ours} and up to {theirs}")
                last = behind
                self._apply(arrivals := self._read_missing(cursor, behind))
                applied += len(arrivals)
        return applied

    def _find_differences(self, cursor: CursorWrapper) -> list[tuple[Any, ...]]:
        cursor.execute(_DIFFERENCES, self._values | {"keys": KEYS})
        return cast(list[tuple[Any, ...]], cursor.fetchall())

    def _read_missing(self, cursor: CursorWrapper, behind: Sequence[tuple[Any, ...]]) -> list[Arrival]:
        columns = dict(zip(("of", "key", "above", "until"), map(list, zip(*behind, strict=True)), strict=True))
        cursor.execute(_MISSING, self._values | columns)
        return [
            skip(arrival) if is_skipped else arrival
            for topic, key, *row, is_skipped in cursor.fetchall()
            for arrival in [read_arrival((topic, key), *row)]
        ]

    def _apply(self, arrivals: Sequence[Arrival]) -> None:
        self.consumer.apply(self.consumer.arrange(arrivals))


def save_progress(choice: GenerationChoice, half: int | None, seconds: float) -> None:
    """Store how far the walk is, so that pages show it, and a killed build continues near this position.

    The first of two processes adds the progress of the second one, and stores the position of the slower one.
    """
    choice.beat_at = timezone.now()
    if half == SECOND:
        GenerationChoice.objects.update(second_position=choice.position, second_events=choice.events)
        return
    if half == FIRST:
        choice.second_events = 0
        add_progress(choice)
        choice.position = min(choice.position, choice.second_position)
        choice.rate += choice.second_events / seconds
    choice.save(update_fields=["position", "target", "events", "rate", "beat_at"])


def add_progress(choice: GenerationChoice) -> None:
    """Add the events that the second process has applied since the last call to the events of the first one."""
    known = choice.second_events
    choice.refresh_from_db(fields=["second_position", "second_events"])
    choice.events += choice.second_events - known


def skip(arrival: Arrival) -> Arrival:
    """Return `arrival` with an event that no handler wants."""
    return arrival._replace(event=cast(Event, Skipped()))


def find_first_position() -> int:
    """Return the lowest position of the outbox; 1 if the outbox is empty."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(min(position), 1) from relay_outbox")
        return int(cursor.fetchone()[0])
