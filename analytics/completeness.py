"""How complete the numbers are: the time until which everything is applied, and what is missing for certain.

`Completeness.until` is exact: every committed event that occurred before it is applied, except the events of parked and
refused keys, which are counted next to it. The cost does not grow with the history, and hardly with the backlog: the
search for the first unapplied event starts at the consumer's watermark and ends at the first find. Events behind the
first one may have occurred earlier; the BRIN index on `occurred_at` finds these few.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from analytics.facts.days import find_oldest_day
from analytics.facts.rows import READERS
from analytics.generation import Generation, current
from relay.consumer.watermarks import read_watermarks, use_indexes

#: An event gets its time at most this long before its transaction has its first lock or row.
CREATION = timedelta(seconds=1)
#: An event that is applied later than this after it occurred is late.
LATE = timedelta(minutes=5)

# Unapplied: above the cursor, or above the floor of a stream without a cursor. Keys that are parked, or that wait
# behind a refused row, do not hold the time back.
_IS_WAITING = """
    c.parked_at is null
    and o.sequence > coalesce(c.last, (select floor from relay_stream s where s.topic = o.topic and s.key = o.key), 0)
    and not exists (select from relay_outbox r where r.topic = o.topic and r.key = o.key
                    and r.refused_reason is not null and r.sequence <= o.sequence)
"""
_FIRST = f"""
select o.position, o.occurred_at from relay_outbox o
left join lateral (select last, parked_at from relay_cursor
                   where consumer = %(consumer)s and topic = o.topic and key = o.key offset 0) c on true
where o.position > %(after)s and o.topic = any(%(topics)s) and {_IS_WAITING}
order by o.position limit 1
"""  # noqa: S608 - our own names
_EARLIER = f"""
select min(o.occurred_at) from relay_outbox o
left join lateral (select last, parked_at from relay_cursor
                   where consumer = %(consumer)s and topic = o.topic and key = o.key offset 0) c on true
where o.occurred_at < %(at)s and o.position > %(position)s and o.topic = any(%(topics)s) and {_IS_WAITING}
"""  # noqa: S608 - our own names
# Open transactions may still commit events with earlier times. Only a transaction with an id has written.
_NOW = """
select least(clock_timestamp(), (select min(xact_start) from pg_stat_activity
                                 where backend_xid is not null and pid <> pg_backend_pid()
                                   and backend_type = 'client backend' and datname = current_database()))
"""
_ASIDE = """
select (select count(*) from relay_cursor where consumer = %(consumer)s and parked_at is not null),
       (select coalesce(sum(s.last - c.last), 0)::bigint from relay_cursor c join relay_stream s using (topic, key)
        where c.consumer = %(consumer)s and c.parked_at is not null),
       (select count(distinct (topic, key)) from relay_outbox
        where refused_reason is not null and topic = any(%(topics)s)),
       (select coalesce(sum(count), 0)::bigint from activity_notrecorded where minute >= %(since)s),
       (select coalesce(sum(count), 0)::bigint from {schema}.analytics_arrival
        where arrived >= %(since)s and arrived - minute > %(late)s),
       (select coalesce(sum(restated_rows), 0)::bigint from {schema}.analytics_dayseal
        where name = 'minute' and restated_at >= %(since)s),
       (select count(*) from {touched}.analytics_touched),
       (select max(day) from analytics_archivedday where dropped_at is not null),
       (select count(*) from pg_inherits join pg_class c on c.oid = inhrelid
        where inhparent = to_regclass('{schema}.analytics_activity')
          and right(relname, 8) < to_char(%(oldest)s::date - 1, 'YYYYMMDD'))
"""


#: The last nine figures of Completeness.
Aside = tuple[int, int, int, int, int, int, int, date | None, int]


@dataclass(frozen=True, slots=True)
class Completeness:
    """The figures that each panel shows next to its numbers.

    - `until`: every event that occurred before this is applied, except the events of parked and refused keys.
    - `is_waiting`: whether any event waits to be applied. If not, `until` is about now.
    - `parked_keys`, `parked_events`: keys whose event failed, and their unapplied events.
    - `refused_keys`: keys that wait because Kafka refused an event.
    - `not_recorded`: activity since `since` that never reached the outbox, at least.
    - `late`: events applied since `since`, more than five minutes after they occurred.
    - `restated`: events since `since` that arrived after their day was sealed.
    - `visits_waiting`: notes about visits that are not computed yet; normally for at most five seconds.
    - `archived_until`: the last day whose activity is in the archive; None without one.
    - `overdue_days`: days of activity that should have been dropped more than a day ago. They are not sealed, or can't
      be archived.
    """

    since: datetime
    until: datetime
    is_waiting: bool
    parked_keys: int
    parked_events: int
    refused_keys: int
    not_recorded: int
    late: int
    restated: int
    visits_waiting: int
    archived_until: date | None
    overdue_days: int


def read_completeness(*, since: datetime, generation: Generation | None = None) -> Completeness:
    """Return how complete the tables of `generation` are; `since` bounds the counts of past problems."""
    chosen = generation or current()
    values: dict[str, Any] = {"consumer": chosen.consumer, "topics": list_topics()}
    now = read_now()  # first: a transaction that ends meanwhile is then found by the search
    with use_indexes() as cursor:
        waiting = _find_first(cursor, values)
    if waiting is not None:
        with connection.cursor() as cursor:
            cursor.execute(_EARLIER, values | {"position": waiting[0], "at": waiting[1]})
            (earlier,) = cursor.fetchone()
            now = min(moment for moment in (now, waiting[1], earlier) if moment is not None)
    return Completeness(since, now, waiting is not None, *count_aside(since=since, generation=chosen))


def count_aside(*, since: datetime, generation: Generation | None = None, touched: str = "") -> Aside:
    """Return the last nine figures of Completeness. `touched` is the schema with the visits that wait."""
    chosen = generation or current()
    values: dict[str, Any] = {"consumer": chosen.consumer, "topics": list_topics(), "since": since, "late": LATE}
    values["oldest"] = find_oldest_day()
    with connection.cursor() as cursor:
        cursor.execute(_ASIDE.format(schema=chosen.schema, touched=touched or chosen.schema), values)
        counts: Aside = cursor.fetchone()
    return counts


def list_topics() -> list[str]:
    """Return the topics that analytics reads."""
    return sorted({event.topic for event in READERS})


def read_now() -> datetime:
    """Return the time before which no open transaction can add an event."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_stat_clear_snapshot()")  # else a transaction sees its first look again
        cursor.execute(_NOW)
        moment: datetime = cursor.fetchone()[0]
    return moment - CREATION


def _find_first(cursor: CursorWrapper, values: dict[str, Any]) -> tuple[int, datetime] | None:
    """Return the position and the time of the unapplied event with the lowest position, or None."""
    watermarks = read_watermarks(cursor, {values["consumer"]: values["topics"]})[values["consumer"]]
    cursor.execute(_FIRST, values | {"after": min(watermarks.values(), default=0)})
    row: tuple[int, datetime] | None = cursor.fetchone()
    return row
