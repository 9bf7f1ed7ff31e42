"""The partitions of tables by day (UTC)."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from analytics.generation import list_partitions
from relay.arrays import to_array

# An arbitrary number of an advisory lock: a process holds it until its transaction ends, while it creates partitions.
_CREATING = 7_262_179_017
# The second expression sees the choice of a switch that the first one waited for.
_PREPARE = """
select schema, array(
    select day from unnest(%(days)s::date[]) as day
    where to_regclass(schema || '.' || %(table)s::text || to_char(day, '_YYYYMMDD')) is null order by day)
from (select coalesce(%(schema)s::text, public.analytics_share_current()) as schema offset 0) chosen
"""


def day_of(moment: datetime) -> date:
    """Return the day (UTC) that contains `moment`."""
    return moment.astimezone(UTC).date()


def find_oldest_day() -> date:
    """Return the oldest day whose activity and visits are kept."""
    return day_of(timezone.now()) - timedelta(days=settings.ANALYTICS_ACTIVITY_DAYS)


def prepare_days(cursor: CursorWrapper, schema: str | None, table: str, moments: Iterable[datetime | date]) -> str:
    """Create the missing partitions of `table` for the days of `moments`, in the open transaction; return the schema.

    :param schema: None: the one of the current generation, which stays the current one until the transaction ends.
    """
    days = sorted({day_of(moment) if isinstance(moment, datetime) else moment for moment in moments})
    if schema and not days:
        return schema
    values: dict[str, str | None] = {"schema": schema, "table": table, "days": to_array(days)}
    cursor.execute(_PREPARE, values)
    chosen: str
    chosen, missing = cursor.fetchone()
    if missing:
        _create_days(cursor, table, values | {"schema": chosen})
    return chosen


def _create_days(cursor: CursorWrapper, table: str, values: dict[str, str | None]) -> None:
    cursor.execute("select pg_advisory_xact_lock(%s)", [_CREATING])
    cursor.execute(_PREPARE, values)  # another process may have created one meanwhile
    schema, missing = cursor.fetchone()
    for day in missing:
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


def list_days(cursor: CursorWrapper, schema: str, table: str) -> list[date]:
    """Return the days that have a partition of `table`, the oldest first."""
    names = list_partitions(cursor, schema, table)
    return [datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date() for name in names]
