"""Windows: ranges of positions in the outbox to which no further event can be added.

The ledger does not rely on the relays' low watermark, because a faulty relay may raise it above a missing row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models.functions import Now

from relay.consumer.watermarks import use_indexes
from relay.partitions import read_transactions
from shop.control.ledger.models import LedgerCheck, LedgerState, LedgerWindow

#: Positions of a full window, and the seconds after which a smaller window is cut.
WINDOW_POSITIONS, WINDOW_SECONDS = 10_000, 10.0
#: Windows that one round cuts at most.
MOST_WINDOWS = 5
#: Events that one sample counts at most above the last window.
MOST_COUNTED = 20_000

_COUNT = """
select topic, count(*), min(created_at), max(created_at) from relay_outbox
where position > %s and position <= %s and topic = any(%s) group by topic
"""
_IS_DUE = "select clock_timestamp() >= %s + make_interval(secs => %s)"


@dataclass(slots=True)
class StablePosition:
    """The position up to which no running transaction can add a row, learned from two looks at the transactions."""

    position: int = 0
    _candidate: tuple[int, int] | None = None

    def update(self) -> int:
        """Look at the running transactions, and return the stable position."""
        last, number, oldest = read_transactions()
        if self._candidate is not None and oldest >= self._candidate[1]:
            self.position = self._candidate[0]
            self._candidate = None
        if self._candidate is None:
            self._candidate = (last, number)
        return self.position


def cut_windows(state: LedgerState, stable: int, parts: Mapping[str, Sequence[str]], *, seconds: float) -> int:
    """Cut the events up to the position `stable` into windows with a check for each part; return their number.

    :param parts: the topics of each part.
    :param seconds: cut a window that is not full after this time.
    """
    cut = 0
    while state.position < stable and cut < MOST_WINDOWS:
        if stable - state.position < WINDOW_POSITIONS and not _is_due(state, seconds):
            break
        until = min(stable, state.position + WINDOW_POSITIONS)
        cut += _cut_window(state.position, until, parts)
        state.position = until
        LedgerState.objects.filter(pk=state.pk).update(position=until, cut_at=Now())
        state.refresh_from_db(fields=["cut_at"])
    return cut


def _is_due(state: LedgerState, seconds: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_IS_DUE, [state.cut_at, seconds])
        return bool(cursor.fetchone()[0])


def _cut_window(after: int, until: int, parts: Mapping[str, Sequence[str]]) -> int:
    """Store the window (after, until] and its checks. Return 0 if no part has an event there."""
    with use_indexes() as cursor:
        cursor.execute(_COUNT, [after, until, list(parts[LedgerCheck.LOG])])
        found = {topic: (rows, first, last) for topic, rows, first, last in cursor.fetchall()}
    if not found:
        return 0
    window = LedgerWindow.objects.create(
        after=after,
        until=until,
        first_at=min(first for _, first, _ in found.values()),
        last_at=max(last for _, _, last in found.values()),
        rows=sum(rows for rows, _, _ in found.values()),
    )
    sums = {part: sum(found[topic][0] for topic in topics if topic in found) for part, topics in parts.items()}
    LedgerCheck.objects.bulk_create(
        LedgerCheck(window=window, part=part, rows=rows, waiting=rows) for part, rows in sums.items() if rows
    )
    return 1


def count_uncut(after: int, topics: Sequence[str]) -> int:
    """Return the number of events above the position `after`, counted up to MOST_COUNTED positions."""
    with use_indexes() as cursor:
        cursor.execute(
            "select count(*) from relay_outbox where position > %s and position <= %s and topic = any(%s)",
            [after, after + MOST_COUNTED, list(topics)],
        )
        return int(cursor.fetchone()[0])
