"""Comparison of windows with Kafka's log: each row is in the log, and the first records of a key are in order."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay.arrays import to_array
from relay.conf import configuration
from relay.consumer.watermarks import use_indexes
from shop.control.ledger.checks import reopen
from shop.control.ledger.log import Deleted, LogReader, Record, Remainder
from shop.control.ledger.models import LedgerCheck, LedgerDifference
from shop.control.ledger.rows import OutboxRow, Outcome, is_new

Kind = LedgerDifference.Kind
#: Keys of which the place of the last event is remembered, to notice that a later event overtook it.
MOST_KEYS = 50_000
#: A loss in Kafka is searched in at most this number of the newest windows.
MOST_WINDOWS = 200

_LOOK_UP = """
select w.number, coalesce(o.position, 0), coalesce(o.event_id::text, ''), coalesce(s.floor, 0)
from unnest(%(topics)s::text[], %(keys)s::text[], %(sequences)s::bigint[]) with ordinality
    as w (topic, key, sequence, number)
left join lateral (select position, event_id from relay_outbox o
                   where o.key = w.key and o.topic = w.topic and o.sequence = w.sequence limit 1) o on true
left join lateral (select floor from relay_stream s where s.key = w.key and s.topic = w.topic) s on true
order by w.number
"""
_PUBLISHED = """
select position, event_id::text from relay_outbox
where position > %s and position <= %s and topic = %s and key_hash %% %s = %s and published_at is not null
"""


class Place(NamedTuple):
    """The place in Kafka of the last known event of a key."""

    sequence: int
    offset: int


class Logbook:
    """Compares rows with the records of a LogReader."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], Place] = OrderedDict()

    def compare(
        self, check: LedgerCheck, rows: Sequence[OutboxRow], reader: LogReader, *, complete: bool, calm: bool
    ) -> Outcome:
        """Compare `rows` with the records of `reader`.

        :param complete: the reader has read all records that were in the log when `rows` were read.
        :param calm: nobody is repairing the log, so that an unpublished row or a repeated event has no other reason.
        """
        outcome = Outcome()
        earlier: dict[int, str] = {} if is_new(check) else self._read_inverted(check)
        for row in rows:
            record = reader.seen.get(row.event_id)
            if row.position in earlier:
                outcome.differences[row.position] = Kind.inverted
            elif record:
                if self._is_inverted(row, record) and calm:
                    outcome.differences[row.position] = Kind.inverted
                else:
                    outcome.found += 1
            elif row.is_refused:
                outcome.parked.append(row.position)
            elif row.is_published and complete:
                outcome.differences[row.position] = Kind.lost
            elif row.is_below and calm:
                outcome.differences[row.position] = Kind.unsent
            else:
                outcome.waiting.append(row.position)
        return outcome

    def _read_inverted(self, check: LedgerCheck) -> dict[int, str]:
        if not check.lost:
            return {}
        listed = LedgerDifference.objects.filter(
            window=check.window, part=check.part, kind=Kind.inverted, closed_at=None
        )
        return dict(listed.values_list("position", "kind"))

    def _is_inverted(self, row: OutboxRow, record: Record) -> bool:
        """Remember the place of `row`, and return whether a later event of its key came first, or it came too early."""
        key = (row.topic, row.key)
        known = self._places.pop(key, None)
        self._places[key] = Place(row.sequence, record.offset)
        if len(self._places) > MOST_KEYS:
            self._places.popitem(last=False)
        return known is not None and (known.sequence < row.sequence) != (known.offset < record.offset)


class Leftovers(NamedTuple):
    """Records without a waiting row: `repeats` of earlier events, and `foreign` ones without a row."""

    repeats: list[Record]
    foreign: list[Record]


def sort_leftovers(left: Mapping[str, Record], reader: LogReader, outstanding: set[int], began_after: int) -> Leftovers:
    """Look up the rows of leftover records. Let `reader` keep those whose row is `outstanding`."""
    if not left:
        return Leftovers([], [])
    records = list(left.items())
    with use_indexes() as cursor:
        cursor.execute(
            _LOOK_UP,
            {
                "topics": to_array(record.topic for _, record in records),
                "keys": to_array(record.key for _, record in records),
                "sequences": to_array(record.sequence for _, record in records),
            },
        )
        rows = cursor.fetchall()
    found = Leftovers([], [])
    for number, position, event_id, floor in rows:
        name, record = records[number - 1]
        if position in outstanding and event_id == name:
            reader.keep(name, record)
        elif event_id == name and position > began_after:
            found.repeats.append(record)
        elif event_id != name and record.sequence > floor and record.topic not in configuration().foreign_topics:
            found.foreign.append(record)
    return found


def read_outstanding() -> set[int]:
    """Return the outstanding positions of all checks of the log."""
    lists = LedgerCheck.objects.filter(part=LedgerCheck.LOG, closed_at=None).values_list("outstanding", flat=True)
    return {position for positions in lists for position in positions}


def reopen_lost(deleted: Deleted, remainder: Remainder, partitions: int) -> int:
    """Open the checks again whose events Kafka has deleted, and return the number of these events.

    :param partitions: the number of the topic's partitions.
    """
    topic, partition = deleted.spot
    horizon = _find_position(remainder.last) if remainder.last else None
    checks = LedgerCheck.objects.filter(part=LedgerCheck.LOG).select_related("window")
    lost = 0
    for check in checks.order_by("-window_id" if deleted.is_newest else "window_id")[:MOST_WINDOWS]:
        if lost >= deleted.records:
            break
        until = check.window.until if horizon is None else min(horizon, check.window.until)
        with use_indexes() as cursor:
            cursor.execute(_PUBLISHED, [check.window.after, until, topic, partitions, partition])
            gone = [position for position, event_id in cursor.fetchall() if event_id not in remainder.event_ids]
        fresh = dict.fromkeys((position for position in gone if position not in check.outstanding), Kind.lost.value)
        if fresh and not is_new(check):
            reopen(check, fresh, lacking=len(fresh), without=0)
            lost += len(fresh)
    return lost


def _find_position(record: Record) -> int:
    """Return the position of the record's row, or 0."""
    with use_indexes() as cursor:
        cursor.execute(_LOOK_UP, {"topics": [record.topic], "keys": [record.key], "sequences": [record.sequence]})
        return int(cursor.fetchone()[1])
