"""Events of past days: a note in day_seal if the day is sealed, and the deletion of the day's sums."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from django.db.backends.utils import CursorWrapper

from analytics.facts.columns import split_columns
from analytics.facts.days import day_of
from analytics.facts.rows import Rows
from analytics.generation import SUM_TABLES, TABLES
from relay.arrays import to_array

# An arbitrary number of an advisory lock: shared for events of past days, exclusive for the seal and the sums of a day.
# An event is therefore either part of the seal or counted as restated.
SEALING = 7_262_179_018
_DELETED = "{name} as (delete from {{schema}}.{table} where day = any(%(days)s::date[]))"
_RESTATE = f"""
with noted as (
    update {{schema}}.analytics_dayseal s
    set restated_at = statement_timestamp(), restated_rows = s.restated_rows + late.rows
    from unnest(%(day)s::date[], %(rows)s::bigint[]) as late (day, rows) where s.day = late.day),
{", ".join(_DELETED.format(name=name, table=TABLES[name]) for name in SUM_TABLES)} select 1
"""  # noqa: S608 - our own names


def restate_days(cursor: CursorWrapper, schema: str, rows: Rows, past_days: Sequence[date]) -> None:
    """Count the events of sealed days as restated, and delete the sums of `past_days`.

    The lock is taken before the statement, which therefore sees what a task has sealed or summed up meanwhile.
    """
    if not past_days:
        return
    late, days = Counter[date](), set(past_days)
    for (minute, _, _), (count, _, _) in rows.minutes.items():
        if (day := day_of(minute)) in days:
            late[day] += count
    cursor.execute("select pg_advisory_xact_lock_shared(%s)", [SEALING])
    values = split_columns(("day", "rows"), sorted(late.items()))
    cursor.execute(_RESTATE.format(schema=schema), values | {"days": to_array(sorted(days))})
