"""The note in day_seal about events that arrive after the day was sealed."""

from collections import Counter
from datetime import date

from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from analytics.facts.columns import split_columns
from analytics.facts.days import day_of
from analytics.facts.rows import Rows

# An arbitrary number of an advisory lock: shared for late events, exclusive for the seal of a day. An event is
# therefore either part of the seal or counted as restated.
SEALING = 7_262_179_018
_NOTE = """
update {schema}.analytics_dayseal s
set restated_at = statement_timestamp(), restated_rows = s.restated_rows + late.rows
from unnest(%(day)s::date[], %(rows)s::bigint[]) as late (day, rows) where s.day = late.day
"""


def note_late_events(cursor: CursorWrapper, schema: str, rows: Rows) -> None:
    """Count the events of past days as restated, if their day is sealed."""
    today, late = day_of(timezone.now()), Counter[date]()
    for (minute, _, _), (count, _, _) in rows.minutes.items():
        if (day := day_of(minute)) < today:
            late[day] += count
    if late:
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", [SEALING])
        cursor.execute(_NOTE.format(schema=schema), split_columns(("day", "rows"), sorted(late.items())))
