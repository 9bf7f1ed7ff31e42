"""The comparison of sealed days: the other generation must have the checksums of the current one."""

from datetime import date
from typing import NamedTuple

from django.db import connection, transaction

from analytics.archive.inventory import list_archived_days
from analytics.checksum import SEALED, read_checksum, use_utc
from analytics.facts.days import find_oldest_day
from analytics.generation import TABLES, Generation, current
from analytics.seal import seal_day

_DAYS = f"select distinct day from {{schema}}.{TABLES['day_seal']} order by day"  # noqa: S608 - our own names
_SEALS = f"""
select name, rows, checksum, restated_rows from {{schema}}.{TABLES["day_seal"]} where day = %s
"""  # noqa: S608 - our own names
_COPY_SEALS = f"""
update {{other}}.{TABLES["day_seal"]} o
set rows = s.rows, checksum = s.checksum, restated_at = s.restated_at, restated_rows = s.restated_rows
from {{schema}}.{TABLES["day_seal"]} s
where s.name = 'activity' and o.name = s.name and o.day = s.day and (s.day < %s or s.day = any(%s))
"""  # noqa: S608 - our own names


class Difference(NamedTuple):
    """A table and day whose rows or checksum differ. Without a restated event, `current` is the seal of the day."""

    day: date
    table: str
    current: tuple[int, int]
    other: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"{self.day} {self.table}: {self.current[0]} rows, checksum {self.current[1]}; the new generation has"
            f" {self.other[0]} rows, checksum {self.other[1]}"
        )


def compare_sealed_days(other: Generation) -> tuple[int, list[Difference]]:
    """Seal the sealed days of the current generation in `other`; return their number and the differences."""
    ours = current()
    with connection.cursor() as cursor:
        cursor.execute(f"delete from {other.schema}.{TABLES['day_seal']}")  # noqa: S608 - our own names
        cursor.execute(_DAYS.format(schema=ours.schema))
        days = [day for (day,) in cursor.fetchall()]
    for day in days:
        seal_day(other, day)
    with connection.cursor() as cursor:
        # The activity of old days is dropped, so its seal can't be computed again.
        archived = sorted(list_archived_days())
        cursor.execute(_COPY_SEALS.format(other=other.schema, schema=ours.schema), [find_oldest_day(), archived])
    dropped = {day for day in days if day < find_oldest_day()} | {*archived}
    return len(days), [found for day in days for found in _compare(day, ours, other, is_dropped=day in dropped)]


def _compare(day: date, ours: Generation, other: Generation, *, is_dropped: bool) -> list[Difference]:
    """Return the differences of `day`. A restated seal is out of date, so the rows of both are read."""
    found = []
    with transaction.atomic(), connection.cursor() as cursor:
        use_utc(cursor)
        cursor.execute(_SEALS.format(schema=ours.schema), [day])
        sealed = {name: (rows, int(total), restated) for name, rows, total, restated in cursor.fetchall()}
        cursor.execute(_SEALS.format(schema=other.schema), [day])
        built = {name: (rows, int(total)) for name, rows, total, _ in cursor.fetchall()}
        for name in SEALED:
            if name not in sealed or (name == "activity" and is_dropped):
                continue
            rows, total, restated = sealed[name]
            expected = _read_rows(cursor, name, ours, day) if restated else (rows, total)
            if expected != built.get(name, (0, 0)):
                found.append(Difference(day, name, expected, built.get(name, (0, 0))))
    return found


def _read_rows(cursor: object, name: str, generation: Generation, day: date) -> tuple[int, int]:
    rows = read_checksum(cursor, name, generation, day=day)  # type: ignore[arg-type]
    return (rows[0].rows, int(rows[0].sum)) if rows else (0, 0)
