"""Retention: sealed days of activity and visits are dropped after settings.ANALYTICS_ACTIVITY_DAYS, as a whole.

With a day goes the link of its visits and orders. The counts per minute and product stay, and so does the seal, which
says how many activities the day had.
"""

from datetime import UTC, date, datetime

from django.db import connection

from analytics.facts.days import find_oldest_day, name_partition
from analytics.generation import BY_DAY, TABLES, list_partitions
from analytics.models import GenerationChoice
from relay.partitions import brief_locks, retry_while_busy

_SEALED = "select distinct day from {schema}.{seals} where name = 'activity'"


def drop_old_days() -> list[date]:
    """Drop the old, sealed days of all generations; return the days. A late event of a dropped day goes the same way.

    :raises OperationalError: a table stayed locked. Dropped days stay dropped, and a repetition is safe.
    """
    choice = GenerationChoice.objects.first() or GenerationChoice()
    with connection.cursor() as cursor:
        cursor.execute(_SEALED.format(schema=choice.schema, seals=TABLES["day_seal"]))
        sealed = {day for (day,) in cursor.fetchall()}
    dropped = set[date]()
    for schema in filter(None, (choice.schema, choice.other)):
        for name in BY_DAY:
            dropped |= _drop_days(schema, TABLES[name], sealed)
    return sorted(dropped)


def _drop_days(schema: str, table: str, sealed: set[date]) -> set[date]:
    with connection.cursor() as cursor:
        partitions = list_partitions(cursor, schema, table)
    days = {datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in partitions}
    old = {day for day in days & sealed if day < find_oldest_day()}
    for day in sorted(old):

        def drop(day: date = day) -> None:
            with brief_locks(), connection.cursor() as cursor:
                cursor.execute(f"drop table {schema}.{name_partition(table, day)}")

        retry_while_busy(drop)
    return old
