"""Where a rebuild finds its events: in the outbox, in the current tables, or in the files of the archive.

Pruning deletes events from the outbox. Activity that is lost there is still in the partitions of its day, or in the
archive. Orders and stock have no other source: their tables can only be copied as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.archive.content import EARLIER, Content, empty_table
from analytics.archive.day import demand_content
from analytics.archive.folder import open_folder
from analytics.archive.inventory import describe_days, list_files, list_lost_days, read_sealed_rows
from analytics.generation import TABLES, current, list_partitions
from analytics.models import ArchivedDay, LoadedHistory
from relay.operations import Refused
from shop.events import ActivityEvent

ACTIVITY = ActivityEvent.topic
#: Temporary tables: the activities that the outbox still has, and the activities of one day that it has not.
_REPLAYED, LOST = "rebuild_replayed", "rebuild_lost"
_FLOORS = """
select coalesce(sum(floor) filter (where topic = %(activity)s), 0)::bigint,
       coalesce(sum(floor) filter (where topic <> %(activity)s), 0)::bigint
from relay_stream where topic = any(%(topics)s)
"""
_CREATE_REPLAYED = f"""
drop table if exists {_REPLAYED};
create temporary table {_REPLAYED} as
select (o.occurred_at at time zone 'UTC')::date as day, o.event_id from relay_outbox o
join relay_stream s on s.topic = o.topic and s.key = o.key
where o.topic = '{ACTIVITY}' and o.sequence > s.floor;
create index on {_REPLAYED} (day);
analyze {_REPLAYED}
"""  # noqa: S608 - our own names
_OF_TABLE = """
select event_id, at, visitor, kind, sku, quantity, amount, currency, order_id, false as is_archived
from {schema}.{activity} where at >= '{day} 00:00:00+00' and at < '{day} 24:00:00+00'
"""
# The number of a visitor takes the place of the visitor's id.
_OF_FILES = f"""
select event_id, at, lpad(to_hex(visitor), 32, '0')::uuid, kind, sku, quantity, amount, currency, null::uuid, true
from {EARLIER} where event_id not in (select event_id from known)
"""  # noqa: S608 - our own names
_CREATE_LOST = f"""
drop table if exists {LOST};
create temporary table {LOST} as
with known as materialized ({_OF_TABLE})
select row_number() over (order by at, event_id) as number, activity.*
from (select * from known union all {_OF_FILES}) activity
where event_id not in (select event_id from {_REPLAYED} where day = '{{day}}')
order by number
"""  # noqa: S608 - our own names


class Lost(NamedTuple):
    """Numbers of events that the outbox has no longer, and whether a loaded history never was there."""

    activity: int
    others: int
    is_loaded: bool

    @property
    def is_activity(self) -> bool:
        """Whether activity is lost."""
        return self.activity > 0 or self.is_loaded

    @property
    def names(self) -> str:
        """The lost events of orders and stock, in words; empty if there are none."""
        pruned = f"{self.others} events of orders and stock are pruned from the outbox"
        loaded = "the loaded history of orders and stock never was in the outbox"
        return " and ".join(text for text, is_true in ((pruned, self.others), (loaded, self.is_loaded)) if is_true)


def count_lost(topics: list[str]) -> Lost:
    """Return the numbers of lost events of activity and of all other `topics`."""
    with connection.cursor() as cursor:
        cursor.execute(_FLOORS, {"activity": ACTIVITY, "topics": topics})
        activity, others = cursor.fetchone()
    return Lost(activity, others, LoadedHistory.objects.exists())


def demand_sources(topics: list[str], *, keep_orders: bool) -> Lost:
    """Check that every event of `topics` can be found. Return the numbers of events that the outbox has no longer.

    :param keep_orders: whether the tables of orders and stock may be copied instead.
    :raises Refused: some events can't be found.
    """
    lost = count_lost(topics)
    if lost.names and not keep_orders:
        raise Refused(
            f"{lost.names}: a new generation would lack them. With --keep-orders the rebuild copies the tables of"
            " orders and stock as they are, and computes only activity and visits again"
        )
    if lost.is_activity:
        with transaction.atomic():
            find_replayed()
            demand_days(current().schema)
    return lost


def demand_days(schema: str) -> None:
    """Check that each dropped day is completely in the archive or in the outbox. Needs `find_replayed`.

    :raises Refused: some days are in neither, or a file is missing.
    """
    sealed, replayed = read_sealed_rows(schema), count_replayed()
    if missing := [day for day in list_lost_days(schema) if replayed.get(day, 0) < sealed[day]]:
        raise Refused(
            f"the activity of {describe_days(missing)} is pruned from the outbox and was dropped without an archive: a"
            " new generation would lack it. The current generation has its counts and stays"
        )
    for one in list_files():
        if not (path := open_folder() / one.file).is_file():
            raise Refused(f"{path} is missing: a new generation would lack the activity of {one.day}")


def find_replayed() -> None:
    """Note the activities that the outbox still has in a temporary table of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = '10min'")
        cursor.execute(_CREATE_REPLAYED)


def count_replayed() -> dict[date, int]:
    """Return the number of activities by day that the outbox still has."""
    with connection.cursor() as cursor:
        cursor.execute(f"select day, count(*) from {_REPLAYED} group by day")  # noqa: S608 - our own names
        return dict(cursor.fetchall())


def list_days(schema: str) -> list[date]:
    """Return the days with activity in the tables or the archive, the oldest first."""
    with connection.cursor() as cursor:
        names = list_partitions(cursor, schema, TABLES["activity"])
    days = {datetime.strptime(name[-8:], "%Y%m%d").date() for name in names}  # noqa: DTZ007 - a day has no time zone
    return sorted(days | {one.day for one in list_files()})


@contextmanager
def finding_lost(schema: str, day: date) -> Iterator[CursorWrapper]:
    """Fill the table LOST with the activities of `day` that the outbox has no longer. Needs `find_replayed`.

    The rows have the same numbers each time, whether the day is in the tables or was archived meanwhile.

    :raises NotArchived: a file is missing or wrong.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local statement_timeout = '10min'")
        # Else the day could be archived and dropped after the search for files and before the rows are read.
        cursor.execute(f"lock table {schema}.{TABLES['activity']} in access share mode")
        empty_table(EARLIER)
        for one in ArchivedDay.objects.filter(day=day).exclude(dropped_at=None):
            demand_content(open_folder() / one.file, Content(one.rows, one.checksum), into=EARLIER)
        cursor.execute(_CREATE_LOST.format(schema=schema, activity=TABLES["activity"], day=day))
        yield cursor


def count_by_source(schema: str) -> tuple[int, int]:
    """Return the numbers of lost activities in the tables and in the archive. Reads files only if the outbox overlaps.

    :raises NotArchived: a file is missing or wrong.
    """
    with transaction.atomic():
        find_replayed()
        replayed, in_tables, in_archive = count_replayed(), 0, 0
        with connection.cursor() as cursor:
            kept = {name[-8:] for name in list_partitions(cursor, schema, TABLES["activity"])}
        for day in list_days(schema):
            if f"{day:%Y%m%d}" not in kept and day not in replayed:
                in_archive += sum(one.rows for one in list_files() if one.day == day)
                continue
            with finding_lost(schema, day) as cursor:
                cursor.execute(f"select count(*) filter (where not is_archived), count(*) from {LOST}")  # noqa: S608
                tables, both = cursor.fetchone()
            in_tables, in_archive = in_tables + tables, in_archive + both - tables
    return in_tables, in_archive
