"""The partitions of tables by day (UTC)."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from relay.arrays import to_array

# An arbitrary number of an advisory lock: a process holds it until its transaction ends, while it creates partitions.
_CREATING = 7_262_179_017
_IS_MISSING = """
select to_regclass(name) is null from unnest(%(names)s::text[]) with ordinality as n (name, number) order by number
"""


def day_of(moment: datetime) -> date:
    """Return the day (UTC) that contains `moment`."""
    return moment.astimezone(UTC).date()


def find_oldest_day() -> date:
    """Return the oldest day whose activity and visits are kept."""
    return day_of(timezone.now()) - timedelta(days=settings.ANALYTICS_ACTIVITY_DAYS)


def ensure_days(cursor: CursorWrapper, schema: str, table: str, moments: Iterable[datetime | date]) -> None:
    """Create the missing partitions of `table` for the days of `moments`, in the open transaction."""
    days = {day_of(moment) if isinstance(moment, datetime) else moment for moment in moments}
    if not list_missing(schema, table, days):
        return
    cursor.execute("select pg_advisory_xact_lock(%s)", [_CREATING])
    for day in list_missing(schema, table, days):  # another process may have created one meanwhile
        # Attach takes a weaker lock than `create table ... partition of`: readers and writers continue.
        name = name_partition(table, day)
        cursor.execute(f"create table {schema}.{name} (like {schema}.{table} including all)")
        cursor.execute(
            f"alter table {schema}.{table} attach partition {schema}.{name}"
            f" for values from ('{day} 00:00:00+00') to ('{day + timedelta(days=1)} 00:00:00+00')"
        )


def name_partition(table: str, day: date) -> str:
    """Return the name of the partition of `day`."""
    return f"{table}_{day:%Y%m%d}"


def list_missing(schema: str, table: str, days: Iterable[date]) -> list[date]:
    """Return the days without a partition, sorted."""
    wanted = sorted(days)
    names = [f"{schema}.{name_partition(table, day)}" for day in wanted]
    with connection.cursor() as cursor:
        cursor.execute(_IS_MISSING, {"names": to_array(names)})
        return [day for day, (is_missing,) in zip(wanted, cursor.fetchall(), strict=True) if is_missing]
