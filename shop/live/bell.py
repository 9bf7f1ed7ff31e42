"""The bell: rings the streams of an order after the order has changed in the database.

An event of inventory or payments is in Kafka before the saga has applied it to the order. The bell waits for the saga's
cursor, with one statement for all waiting orders. While no record at all arrives, Kafka may be away, which the client
does not report. The bell then compares all watched orders once per second.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from shop.live.database import Database, DatabaseUnavailable
from shop.live.listener import Seen
from shop.live.positions import CHANGES, find_applied, read_positions
from shop.live.streams import Streams

logger = logging.getLogger(__name__)

#: Seconds between two statements: while an order waits for its event, and after it has waited for LONG_WAIT.
QUICK, SLOW, LONG_WAIT = 0.05, 1.0, 5.0
#: An event that is not applied after this time is forgotten; the page polls anyway.
LONGEST_WAIT = 600.0
COMPARE_SECONDS = 1.0
#: Without a record for this time, the log counts as silent.
SILENT_SECONDS = 2.0


class Waiting(NamedTuple):
    """An event that the saga has not applied yet, and the time of its arrival on the monotonic clock."""

    sequence: int
    since: float


class Bell:
    """Rings `streams`. All methods run in the event loop's thread; statements run in the threads of `database`."""

    def __init__(self, streams: Streams, database: Database) -> None:
        self._streams = streams
        self._database = database
        self._waiting: dict[tuple[str, str], Waiting] = {}  # by topic and order
        self._arrived = asyncio.Event()
        self._heard_at = 0.0  # on the monotonic clock
        self._positions: Mapping[str, int] = {}

    def note(self, seen: Seen) -> None:
        """Note events from Kafka. Ring at once for events that are published with the change of the order."""
        now = self._heard_at = time.monotonic()
        for (topic, order), sequence in seen.items():
            if topic == CHANGES:
                self._streams.ring([order])
            else:
                self._waiting[topic, order] = Waiting(sequence, now)
        if self._waiting:
            self._arrived.set()

    async def ring_applied(self) -> None:
        """Ring for the waiting events as the saga applies them, for ever."""
        while True:
            await self._arrived.wait()
            try:
                await self._ring_applied_once()
            except DatabaseUnavailable as error:
                logger.warning("the bell can't read cursors", extra={"error": str(error)})
                await asyncio.sleep(SLOW)
                continue
            if not self._waiting:
                self._arrived.clear()
                continue
            newest = max(waiting.since for waiting in self._waiting.values())
            await asyncio.sleep(QUICK if time.monotonic() - newest < LONG_WAIT else SLOW)

    async def _ring_applied_once(self) -> None:
        asked = {key: waiting.sequence for key, waiting in self._waiting.items()}
        applied = await self._database.run(find_applied, asked)
        self._streams.ring(order for _, order in applied)
        oldest = time.monotonic() - LONGEST_WAIT
        for key in applied:
            if self._waiting[key].sequence == asked[key]:  # no later event arrived meanwhile
                del self._waiting[key]
        for key, waiting in list(self._waiting.items()):
            if waiting.since < oldest or key[1] not in self._streams.watched:
                del self._waiting[key]

    async def ring_compared(self) -> None:
        """Ring for changed orders once per second while the log is silent, for ever."""
        while True:
            try:
                if time.monotonic() - self._heard_at > SILENT_SECONDS:
                    await self._ring_changed()
            except DatabaseUnavailable as error:
                logger.warning("the bell can't read positions", extra={"error": str(error)})
            await asyncio.sleep(COMPARE_SECONDS)

    async def _ring_changed(self) -> None:
        watched = list(self._streams.watched)
        positions = await self._database.run(read_positions, watched) if watched else {}
        known, self._positions = self._positions, positions
        self._streams.ring(order for order, position in positions.items() if known.get(order) != position)
