"""Rows of the outbox as the ledger reads them, by window or by position, and the result of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from relay.consumer.watermarks import use_indexes
from shop.control.ledger.models import LedgerCheck

#: SQL of the rows of a check: its whole window at first, and later its outstanding positions.
SELECTED = """
selected as materialized (
    select position, topic, key, key_hash, sequence, event_id, type, created_at, published_at, refused_reason
    from relay_outbox
    where topic = any(%(topics)s) and {range})
"""
_WHOLE = "position > %(after)s and position <= %(until)s"
_CHOSEN = "position = any(%(positions)s::bigint[])"

# An unpublished row at or below the low mark of its shard is never sent, unless it waits behind a refused row.
_READ = """
with {selected}
select s.position, s.topic, s.key, s.key_hash, s.sequence, s.event_id::text, s.published_at is not null,
       s.published_at is null and exists (
           select from relay_outbox r where r.topic = s.topic and r.key = s.key and r.sequence <= s.sequence
             and r.refused_reason is not null),
       s.published_at is null and s.position <= coalesce(l.low_mark, 0),
       s.created_at
from selected s left join relay_shardlease l on l.shard = s.key_hash %% 16
order by s.position
"""


class OutboxRow(NamedTuple):
    """A committed event. `is_refused`: it waits behind a row that Kafka refused. `is_below`: no relay will read it."""

    position: int
    topic: str
    key: str
    key_hash: int
    sequence: int
    event_id: str
    is_published: bool
    is_refused: bool
    is_below: bool
    committed_at: datetime


@dataclass(slots=True)
class Outcome:
    """The result of comparing the rows of a check, or its outstanding rows, with its part.

    `differences` maps a position to the kind of its difference.
    """

    found: int = 0
    wanted: int = 0
    effects: int = 0
    skipped: int = 0
    waiting: list[int] = field(default_factory=list)
    parked: list[int] = field(default_factory=list)
    differences: dict[int, str] = field(default_factory=dict)

    @property
    def outstanding(self) -> list[int]:
        """The positions that are not in order yet."""
        return sorted([*self.waiting, *self.parked, *self.differences])


def is_new(check: LedgerCheck) -> bool:
    """Return whether the whole window must be compared, not only its outstanding rows."""
    return check.checked_at is None


def select_rows(check: LedgerCheck, topics: Sequence[str], *, whole: bool | None = None) -> tuple[str, dict[str, Any]]:
    """Return the SQL that selects the rows of `check`, and its values."""
    values = {"topics": list(topics), "after": check.window.after, "until": check.window.until}
    values["positions"] = check.outstanding
    whole = is_new(check) if whole is None else whole
    return SELECTED.format(range=_WHOLE if whole else _CHOSEN), values


def read_rows(check: LedgerCheck, topics: Sequence[str]) -> list[OutboxRow]:
    """Return the rows of the whole window, or the outstanding rows if the check was compared before."""
    selected, values = select_rows(check, topics)
    with use_indexes() as cursor:
        cursor.execute(_READ.format(selected=selected), values)
        return list(map(OutboxRow._make, cursor.fetchall()))
