"""Seals: the checksums of days that are over and complete. A later event of a sealed day is counted as restated."""

from datetime import UTC, date, datetime, time

from django.db import connection, transaction
from django.utils import timezone

from analytics.checksum import SEALED, read_checksum, use_utc
from analytics.completeness import read_completeness
from analytics.facts.seals import SEALING
from analytics.generation import TABLES, Generation, current

_UNSEALED = """
select distinct (minute at time zone 'UTC')::date as day from {schema}.{minutes}
where minute < %(until)s and not exists (
    select from {schema}.{seals} s where s.day = (minute at time zone 'UTC')::date)
order by day
"""
_SEAL = "insert into {schema}.{seals} (day, name, rows, checksum) values (%s, %s, %s, %s) on conflict do nothing"


def seal_days(generation: Generation | None = None) -> list[date]:
    """Seal every past day that is complete and not sealed yet. Return these days."""
    chosen = generation or current()
    until = read_completeness(since=timezone.now(), generation=chosen).until
    end_of_days = datetime.combine(until.astimezone(UTC).date(), time(), UTC)
    names = _name_tables(chosen)
    with connection.cursor() as cursor:
        cursor.execute(_UNSEALED.format(**names), {"until": end_of_days})
        days = [day for (day,) in cursor.fetchall()]
    for day in days:
        seal_day(chosen, day)
    return days


def _name_tables(generation: Generation) -> dict[str, str]:
    return {"schema": generation.schema, "minutes": TABLES["minute"], "seals": TABLES["day_seal"]}


def seal_day(generation: Generation, day: date) -> None:
    """Store the checksums of `day`. Late events wait meanwhile, so each is either part of the seal or restated."""
    names = _name_tables(generation)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [SEALING])
        use_utc(cursor)
        for name in SEALED:
            found = read_checksum(cursor, name, generation, day=day)
            rows, total = (found[0].rows, found[0].sum) if found else (0, 0)
            cursor.execute(_SEAL.format(**names), [day, name, rows, total])
