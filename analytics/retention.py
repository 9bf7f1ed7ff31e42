"""Retention: sealed days of activity and visits are dropped after settings.ANALYTICS_ACTIVITY_DAYS, as a whole.

With a day goes the link of its visits and orders. The counts per minute and product stay, and so does the seal, which
says how many activities the day had. With settings.ANALYTICS_ARCHIVE_DIR a day is archived first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from django.db import connection

from analytics.archive.day import archive_day
from analytics.archive.folder import NotArchived, is_on, open_folder
from analytics.facts.days import find_oldest_day, name_partition
from analytics.generation import BY_DAY, TABLES, list_partitions
from analytics.models import GenerationChoice
from relay.partitions import brief_locks, retry_while_busy

_SEALED = "select distinct day from {schema}.{seals} where name = 'activity'"
#: Days that an error explains; many days often have one cause.
MOST = 3
# An arbitrary number of an advisory lock of the process that archives: two processes would write the same file.
_ARCHIVING = 7_262_179_022


def drop_old_days() -> list[date]:
    """Drop the old, sealed days of all generations; return the days. A late event of a dropped day goes the same way.

    :raises NotArchived: some days could not be archived, and are kept. All others are dropped.
    :raises OperationalError: a table stayed locked. Dropped days stay dropped, and a repetition is safe.
    """
    schema, dropped, problems = _choice().schema, set[date](), list[str]()
    with _archiving() as may_archive:
        for day in list_old_days() if may_archive else []:
            try:
                _drop_activity(schema, day)
                dropped.add(day)
            except NotArchived as problem:
                problems.append(str(problem))
    dropped |= drop_with_activity()
    if problems:
        more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
        raise NotArchived(f"{len(problems)} days can't be archived and are kept: {'; '.join(problems[:MOST])}{more}")
    return sorted(dropped)


@contextmanager
def _archiving() -> Iterator[bool]:
    """Yield whether this process may drop activity. With an archive, only one process does so at a time.

    :raises NotArchived: the folder of the archive does not exist.
    """
    if not is_on():
        yield True
        return
    open_folder()
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [_ARCHIVING])
        (is_free,) = cursor.fetchone()
        try:
            yield is_free
        finally:
            if is_free:
                cursor.execute("select pg_advisory_unlock(%s)", [_ARCHIVING])


def list_old_days() -> list[date]:
    """Return the sealed days of activity that are older than the retention and not dropped yet, the oldest first."""
    schema = _choice().schema
    return sorted(_list_days(schema, TABLES["activity"]) & _read_sealed(schema))


def drop_with_activity() -> set[date]:
    """Drop the visits of days whose activity is dropped, and these days of the other generation; return the days."""
    choice, dropped = _choice(), set[date]()
    gone = _read_sealed(choice.schema) - _list_days(choice.schema, TABLES["activity"])
    for schema in filter(None, (choice.schema, choice.other)):
        for name in BY_DAY:
            for day in sorted(_list_days(schema, TABLES[name]) & gone):
                _drop(schema, TABLES[name], day)
                dropped.add(day)
    return dropped


def _choice() -> GenerationChoice:
    return GenerationChoice.objects.first() or GenerationChoice()


def _read_sealed(schema: str) -> set[date]:
    with connection.cursor() as cursor:
        cursor.execute(_SEALED.format(schema=schema, seals=TABLES["day_seal"]))
        return {day for (day,) in cursor.fetchall()}


def _list_days(schema: str, table: str) -> set[date]:
    """Return the days with a partition that are older than the retention."""
    with connection.cursor() as cursor:
        partitions = list_partitions(cursor, schema, table)
    days = {datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in partitions}
    return {day for day in days if day < find_oldest_day()}


def _drop_activity(schema: str, day: date) -> None:
    if is_on():
        archive_day(schema, day)
    else:
        _drop(schema, TABLES["activity"], day)


def _drop(schema: str, table: str, day: date) -> None:
    def drop() -> None:
        with brief_locks(), connection.cursor() as cursor:
            cursor.execute(f"drop table {schema}.{name_partition(table, day)}")

    retry_while_busy(drop)
