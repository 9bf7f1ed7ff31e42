"""The comparison of the tables with the recount, in one snapshot of the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from analytics.checksum import use_utc
from analytics.facts.days import find_oldest_day
from analytics.facts.rows import READERS
from analytics.generation import TABLES, Generation, current
from analytics.recount.expected import EVENTS, EXPECTED, LINES
from analytics.sums import SUMS

#: Differences that one table reports in detail.
MOST = 20
#: The key of each table.
KEYS = {
    "order_fact": "order_id",
    "order_line_fact": "order_id, sku",
    "activity": "event_id",
    "minute": "minute, kind, currency",
    "product_hour": "hour, sku, currency",
    "session": "day, visitor, began_at",
    "session_day": "day, currency",
    "sold_out": "sku, began_at",
    "order_day": "day, currency, buyer, decline, cancellation",
    "duration_day": "day, step, seconds",
    "minute_day": "day, kind, currency",
    "product_day": "day, sku, currency",
}
# Pruned events are in the tables and no longer in the outbox. An order or SKU with a pruned event is skipped. Counts
# and activities before the oldest row of the outbox are skipped: an event occurs before its row is created. Activity
# and visits of days that may be dropped are skipped, too. Loaded history never was in the outbox.
_PRUNED = """
create temporary table recount_pruned on commit drop as
select topic, key from relay_stream where floor > 0 and topic = any(%(topics)s)
"""
_SINCE = """
select date_trunc('hour', greatest(
           case when exists (select from recount_pruned) then
               coalesce((select min(created_at) from relay_outbox), now()) end,
           (select max(until) from analytics_loadedhistory) - interval '1 microsecond'), 'UTC') + interval '1 hour'
"""
# Loaded orders have no stream. A table, because an `exists` below an `or` would be a plan for each row.
_LOADED = """
create temporary table recount_loaded on commit drop as
select f.order_id from {schema}.analytics_orderfact f
left join relay_stream s on s.topic = 'shop.orders' and s.key = f.order_id::text
where f.placed_at < (select max(until) from analytics_loadedhistory) and s.key is null
"""
_OF_ORDER = """
not exists (select from recount_pruned p where p.key = x.order_id::text)
and not exists (select from recount_loaded l where l.order_id = x.order_id)
"""
_SKIPPED = {
    "order_fact": _OF_ORDER,
    "order_line_fact": _OF_ORDER,
    "activity": "at >= %(since)s and (at at time zone 'UTC')::date >= %(oldest)s::date",
    "minute": "minute >= %(since)s",
    "product_hour": "hour >= %(since)s",
    # Sessions of touched visitors are computed within seconds.
    "session": "day >= %(oldest)s::date and day > (%(since)s::timestamptz at time zone 'UTC')::date and not exists"
    " (select from {schema}.analytics_touched t where t.visitor = x.visitor and t.day = x.day)",
    # Some days have no sums, and days that were dropped have no sessions.
    "session_day": "day >= %(oldest)s::date and day in (select day from {schema}.analytics_sessionday)",
    "sold_out": "began_at >= %(since)s and not exists (select from recount_pruned p where p.key = x.sku)",
    **dict.fromkeys(SUMS, "day in (select day from {schema}.analytics_minuteday)"),
}


@dataclass(slots=True)
class Recount:
    """The result: `differences` as sentences, the number of events of the outbox, and the rows of each table."""

    events: int = 0
    differences: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


def recount(generation: Generation | None = None) -> Recount:
    """Compute all tables of `generation` from the outbox and compare them.

    One snapshot has the tables, the cursors and the outbox, so events may arrive meanwhile.
    """
    result = Recount()
    with snapshot() as cursor:
        chosen = generation or current()
        topics = sorted({event.topic for event in READERS})
        values: dict[str, Any] = {"consumer": chosen.consumer, "topics": topics, "since": read_since(cursor, topics)}
        values["oldest"] = find_oldest_day()
        cursor.execute(_LOADED.format(schema=chosen.schema))
        cursor.execute(EVENTS, values)
        result.events = cursor.rowcount
        cursor.execute(LINES)
        for name in EXPECTED:
            compare_table(cursor, name, chosen.schema, values, result)
    return result


@contextmanager
def snapshot() -> Iterator[CursorWrapper]:
    """Yield a cursor whose statements all see the database at one moment."""
    with transaction.atomic(), connection.cursor() as cursor:
        if len(connection.savepoint_ids) == 0:  # inside another transaction the level can't be changed any more
            cursor.execute("set transaction isolation level repeatable read")
        use_utc(cursor)
        # Compiling takes longer than statements that run once. A tenth of the usual sample is enough for their plans.
        cursor.execute("set local jit = off; set local default_statistics_target = 10")
        cursor.execute(
            "drop table if exists recount_event, recount_line, recount_shortage, recount_pruned, recount_loaded"
        )
        yield cursor


def read_since(cursor: CursorWrapper, topics: list[str]) -> datetime:
    """Return the time since which the outbox has all events; the lowest time if nothing is pruned."""
    cursor.execute(_PRUNED, {"topics": topics})
    cursor.execute(_SINCE)
    since: datetime | None = cursor.fetchone()[0]
    return since or datetime(1, 1, 1, tzinfo=UTC)


def compare_table(cursor: CursorWrapper, name: str, schema: str, values: dict[str, Any], result: Recount) -> None:
    """Add the differences of the table `name` to `result`."""
    keys, kept = KEYS[name], _SKIPPED[name].format(schema=schema)
    compared = f"""
        from (select * from {schema}.{TABLES[name]} x where {kept}) s
        full join (select * from ({EXPECTED[name].replace("{schema}", schema)}) x where {kept}) c using ({keys})
    """  # noqa: S608 - our own names
    differs = "row(s.*) is distinct from row(c.*)"
    first_key = keys.partition(",")[0]
    cursor.execute(f"select count(c.{first_key}), count(*) filter (where {differs}) {compared}", values)
    result.rows[name], count = cursor.fetchone()
    if count:
        shown = "select coalesce(s::text, 'nothing'), coalesce(c::text, 'nothing')"
        cursor.execute(f"{shown} {compared} where {differs} order by {keys} limit {MOST}", values)
        result.differences += [f"{name}: stored {ours}, but the outbox gives {its}" for ours, its in cursor.fetchall()]
    if count > MOST:
        result.differences.append(f"{name}: {count - MOST} more rows differ")
