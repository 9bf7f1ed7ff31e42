"""The sweep applies events that Kafka has lost: published rows of the outbox that did not arrive after a while.

A sweep walks through the rows above the consumer's watermarks, one page in each round of the receiver. After each page
that it finds completely applied, it raises the watermarks. A row is therefore looked at about once.

A process heals only keys of its own partitions, and only while it has polled these partitions to their end. During a
backlog events are late and not lost.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.consumer.arrivals import Arrival, read_arrival
from relay.consumer.consumer import Consumer
from relay.consumer.deliveries import Place
from relay.consumer.watermarks import raise_watermarks, read_watermarks, use_indexes
from relay.partitions import read_low_watermark

logger = logging.getLogger(__name__)

# An event that was published earlier than this and did not arrive is lost.
LOST_SECONDS = 60.0
# Pause between two sweeps, and between two pages of a sweep without a lost event.
SWEEP_SECONDS, PAGE_SECONDS = 30.0, 1.0
# Rows of the outbox that one page reads, which takes about 20 ms, and lost events that it applies at most.
PAGE_ROWS, PAGE_LOST = 5000, 500

_PAGE = """
with page as materialized (
    select position, topic, key, key_hash, sequence, published_at from relay_outbox
    where position > %(after)s order by position limit %(rows)s),
unapplied as materialized (
    select page.* from page
    join unnest(%(topics)s::text[], %(positions)s::bigint[]) as watermark (topic, position)
        on page.topic = watermark.topic and page.position > watermark.position
    left join lateral (select last, parked_at from relay_cursor
                       where consumer = %(consumer)s and topic = page.topic and key = page.key
                       offset 0) c on true  -- keeps the lookup by key
    where c.parked_at is null
      and page.sequence > coalesce(c.last, (select floor from relay_stream s
                                            where s.topic = page.topic and s.key = page.key), 0)),
lost as materialized (
    select position from unapplied
    where published_at < clock_timestamp() - make_interval(secs => %(seconds)s)
      and exists (
          select from unnest(%(mine)s::text[], %(numbers)s::int[], %(counts)s::int[]) as place (topic, number, count)
          where place.topic = unapplied.topic and place.number = unapplied.key_hash %% place.count)
    order by position limit %(lost)s)
select pages.*, o.position, o.topic, o.key, o.sequence, o.type, o.body, o.traceparent
from (select (select count(*) from page), (select max(position) from page), (select min(position) from unapplied)) pages
left join (lost join relay_outbox o using (position)) on true
order by o.position
"""


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of the outbox up to the position `end`; `first` is the first one that is not applied, if any.

    `more` rows may follow.
    """

    end: int
    first: int | None
    lost: list[Arrival]
    more: bool


@dataclass(slots=True)
class _Walk:
    """A sweep that has looked at all rows up to the position `after`. They were all applied, unless not `is_clean`."""

    after: int
    low_watermark: int
    watermarks: Mapping[str, int]
    is_clean: bool = True


class Sweep:
    """The sweeps of one consumer process."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._walk: _Walk | None = None
        self._due_at = time.monotonic() + SWEEP_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether the next page is due."""
        return time.monotonic() >= self._due_at

    def run(self, places: Sequence[Place]) -> int:
        """Read the next page and apply its lost events in `places`; return their number.

        :raises CircuitOpened: most of the lost events failed.
        """
        walk, self._walk = self._walk, None
        self._due_at = time.monotonic() + SWEEP_SECONDS  # also after an error, which ends the sweep
        if not places:
            return 0
        walk = walk or self._begin()
        page = read_page(self._consumer, walk.after, walk.watermarks, places, seconds=LOST_SECONDS)
        if page.lost:
            keys = [arrival.key for arrival in page.lost]
            logger.warning(
                "healing from the outbox",
                extra={"consumer": self._consumer.name, "events": len(keys), "first": "/".join(keys[0])},
            )
            self._consumer.apply(self._consumer.arrange(page.lost))
        is_current = self._note(walk, page)
        if page.more:
            self._walk = walk if is_current else None  # begin again at the watermarks that another process has written
            self._due_at = time.monotonic() + (0.0 if page.lost else PAGE_SECONDS)
        return len(page.lost)

    def _begin(self) -> _Walk:
        low_watermark = read_low_watermark()  # first: all rows up to this position are visible to the pages
        with use_indexes() as cursor:
            watermarks = read_watermarks(cursor, {self._consumer.name: self._consumer.topics})[self._consumer.name]
        return _Walk(min(watermarks.values(), default=0), low_watermark, watermarks)

    def _note(self, walk: _Walk, page: Page) -> bool:
        """Raise the watermarks to the end of `page`. Return False if another process has changed them meanwhile."""
        walk.after = page.end
        if not walk.is_clean:
            return True
        walk.is_clean = page.first is None
        clean = min(walk.low_watermark, page.end if page.first is None else page.first - 1)
        name = self._consumer.name
        raised = raise_watermarks({name: walk.watermarks}, {name: dict.fromkeys(walk.watermarks, clean)})
        walk.watermarks = raised[name] if raised else {}
        return raised is not None


def read_page(
    consumer: Consumer, after: int, watermarks: Mapping[str, int], places: Sequence[Place], *, seconds: float
) -> Page:
    """Return the next rows above the position `after`, with at most PAGE_LOST lost events of `places`.

    :param watermarks: by topic, the position up to which everything is applied.
    :param seconds: a row that was published earlier than this is lost, unless it is applied or its key parked.
    """
    values: dict[str, Any] = {"consumer": consumer.name, "after": after, "rows": PAGE_ROWS, "lost": PAGE_LOST}
    values |= {"topics": [*watermarks], "positions": [*watermarks.values()], "seconds": seconds}
    columns = zip(*places, strict=True)
    values |= dict(zip(("mine", "numbers", "counts"), map(list, columns), strict=True))
    with use_indexes() as cursor:
        cursor.execute(_PAGE, values)
        rows = cursor.fetchall()
    count, end, first, *_ = rows[0]
    found = [row[3:] for row in rows if row[3] is not None]
    lost = [read_arrival((topic, key), *row) for _, topic, key, *row in found]
    if len(lost) == PAGE_LOST:
        return Page(found[-1][0], first, lost, more=True)
    return Page(end or after, first, lost, more=count == PAGE_ROWS)


def read_lost(consumer: Consumer, *, seconds: float) -> Iterator[list[Arrival]]:
    """Yield all lost events of `consumer` in all partitions, page by page. Ignore and keep the watermarks."""
    places = [Place(topic, 0, 1) for topic in consumer.topics]
    page = Page(0, None, [], more=True)
    while page.more:
        page = read_page(consumer, page.end, dict.fromkeys(consumer.topics, 0), places, seconds=seconds)
        yield page.lost
