"""Events that a consumer has passed without applying them: its committed offset is behind them, its cursor is not.

A consumer commits an offset after its cursors have moved, so this never happens in a correct one. Only a rebuild or a
restored database moves cursors back; the ledger then waits until the consumer has healed them.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from relay.consumer.tail import Spot
from relay.consumer.watermarks import use_indexes
from relay.models import Intervention
from relay.operations import cluster

#: An event that waits for less time than this is on its way.
FRESH_SECONDS = 8.0
#: A passed event is reported after this time, unless the consumer applies it.
PATIENCE_SECONDS = 15.0
#: Interventions that move cursors or rows back, and the time for which differences may be their result.
DISTURBING, DISTURBED_SECONDS = ("rebuild", "replay", "restore", "republish"), 180.0
#: Seconds between two queries of a consumer's committed offsets.
QUERY_SECONDS = 4.0

_CANDIDATES = """
select position, topic, key_hash, published_at from relay_outbox
where position = any(%s::bigint[]) and published_at < clock_timestamp() - make_interval(secs => %s)
"""


class Ends(NamedTuple):
    """The ends of all partitions, read after the time `at` of the database's clock."""

    at: datetime
    offsets: Mapping[Spot, int]


class Passage:
    """The memory of ends, and of the events that a consumer has passed."""

    def __init__(self) -> None:
        self._ends: deque[Ends] = deque(maxlen=60)
        self._since: dict[tuple[str, int], float] = {}
        self._queried: dict[str, float] = {}

    def note_ends(self, at: datetime, offsets: Mapping[Spot, int]) -> None:
        """Remember ends that were read after the time `at`."""
        self._ends.append(Ends(at, dict(offsets)))

    def find_passed(self, consumer: str, waiting: Iterable[int]) -> set[int]:
        """Return the positions among `waiting` that `consumer` passed PATIENCE_SECONDS ago. Compare them again first.

        Two different calls are needed: the first one only remembers.

        :raises BrokerUnavailable: no broker answered.
        """
        now, waiting = time.monotonic(), set(waiting)
        if now - self._queried.get(consumer, 0.0) >= QUERY_SECONDS:
            self._queried[consumer] = now
            passed = self._query(consumer, sorted(waiting))
            for position in passed:
                self._since.setdefault((consumer, position), now)
            for position in waiting - passed:
                self._since.pop((consumer, position), None)
        known = {one: self._since[consumer, one] for one in waiting if (consumer, one) in self._since}
        return {one for one, since in known.items() if now - since >= PATIENCE_SECONDS}

    def _query(self, consumer: str, waiting: Sequence[int]) -> set[int]:
        """Return the positions below the committed offset: every record up to it was below an end at the time."""
        with use_indexes() as cursor:
            cursor.execute(_CANDIDATES, [list(waiting), FRESH_SECONDS])
            candidates = cursor.fetchall()
        if not candidates:
            return set()
        committed = cluster.read_committed([consumer]).get(consumer, {})
        partitions = Counter(topic for topic, _ in self._ends[-1].offsets) if self._ends else Counter[str]()
        passed = set()
        for position, topic, key_hash, published_at in candidates:
            spot = (topic, key_hash % max(1, partitions[topic]))
            end = next((ends.offsets.get(spot) for ends in self._ends if ends.at > published_at), None)
            if end is not None and committed.get(spot, -1) >= end:
                passed.add(position)
        return passed


def is_calm() -> bool:
    """Return whether no intervention of DISTURBED_SECONDS ago or later may have caused a difference."""
    with connection.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        (now,) = cursor.fetchone()
    since = now - timedelta(seconds=DISTURBED_SECONDS)
    # The newest ones only: the table has no index by time, but its ids grow with time.
    latest = Intervention.objects.order_by("-pk").values_list("action", "at")[:200]
    return not any(action in DISTURBING and at > since for action, at in latest)
