"""Rows of the outbox as the ledger reads them, by window or by position, and the result of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from relay.consumer.watermarks import use_indexes
from shop.control.ledger.models import LedgerCheck

_COLUMNS = "position, topic, key, key_hash, sequence, event_id, type, created_at, published_at, refused_reason"
#: SQL of the rows of whole windows. The lateral join scans the index for each window.
_WHOLE = f"""
selected as materialized (
    select row.* from unnest(%(afters)s::bigint[], %(untils)s::bigint[]) as wanted (after, until) cross join lateral (
        select {_COLUMNS} from relay_outbox
        where position > wanted.after and position <= wanted.until and topic = any(%(topics)s) offset 0) row)
"""  # noqa: S608 - our own names
#: SQL of the outstanding rows of checks that were compared before.
_CHOSEN = f"""
selected as materialized (
    select {_COLUMNS} from relay_outbox where topic = any(%(topics)s) and position = any(%(positions)s::bigint[]))
"""  # noqa: S608 - our own names

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


def select_rows(check: LedgerCheck, topics: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the SQL that selects the rows of `check`, and its values."""
    if is_new(check):
        return select_windows([check], topics)
    return _CHOSEN, {"topics": list(topics), "positions": check.outstanding}


def select_windows(checks: Sequence[LedgerCheck], topics: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the SQL that selects all rows of the windows of `checks`, and its values."""
    windows = [check.window for check in checks]
    values = {"afters": [window.after for window in windows], "untils": [window.until for window in windows]}
    return _WHOLE, values | {"topics": list(topics)}


def read_rows(check: LedgerCheck, topics: Sequence[str]) -> list[OutboxRow]:
    """Return the rows of the whole window, or the outstanding rows if the check was compared before."""
    selected, values = select_rows(check, topics)
    with use_indexes() as cursor:
        cursor.execute(_READ.format(selected=selected), values)
        return list(map(OutboxRow._make, cursor.fetchall()))
