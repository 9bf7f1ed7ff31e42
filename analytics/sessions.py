"""Visits: the activities of one visitor and day with gaps of at most 30 minutes.

A late event may join two sessions or begin an earlier one, so sessions are never merged: all sessions of a touched
visitor and day are computed again from the activities.
"""

from datetime import date

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from analytics.facts.columns import split_columns
from analytics.facts.days import day_of, find_oldest_day, list_days, prepare_days
from analytics.generation import Generation, current

#: Visitors and days that one transaction computes.
CHUNK = 2000
# An arbitrary number of an advisory lock: two processes could each see only their own part of a visitor's new events.
_COMPUTING = 7_262_179_019
_TAKE = """
delete from {schema}.analytics_touched where id in (select id from {schema}.analytics_touched order by id limit %s)
returning visitor, day
"""
# `number` is the number of the session within the visitor's day. A cart line is the last quantity of a SKU.
SESSIONS = """
    select happened.*, count(*) filter (where is_first) over (partition by day, visitor order by at, event_id) as number
    from (
        select a.*, (a.at at time zone 'UTC')::date as day,
               a.at - lag(a.at) over (partition by a.visitor, (a.at at time zone 'UTC')::date order by a.at, a.event_id)
                   > interval '30 minutes' as is_first
        from {activities}) happened
"""
SUMMED = """
    select n.day, n.visitor, min(at) as began_at, max(at) as ended_at, count(*)::int as events,
           count(*) filter (where kind = 'viewed')::int as views,
           count(*) filter (where kind = 'cart_changed' and quantity > 0)::int as carts,
           count(*) filter (where kind = 'checkout_started')::int as checkouts,
           count(*) filter (where kind = 'checkout_completed')::int as orders,
           coalesce((array_agg(cart.units))[1], 0) as cart_units,
           (array_agg(amount order by at desc, event_id desc) filter (where kind = 'checkout_started'))[1]
               as cart_amount,
           coalesce((array_agg(currency order by at desc, event_id desc)
                     filter (where kind = 'checkout_started'))[1], '') as currency,
           (array_agg(order_id order by at desc, event_id desc) filter (where kind = 'checkout_completed'))[1]
               as order_id
    from numbered n
    left join (
        select day, visitor, number, sum(quantity)::int as units
        from (select distinct on (day, visitor, number, sku) day, visitor, number, quantity
              from numbered where kind = 'cart_changed'
              order by day, visitor, number, sku, at desc, event_id desc) line
        group by day, visitor, number) cart using (day, visitor, number)
    group by n.day, n.visitor, n.number
"""
_COLUMNS = (
    "day, visitor, began_at, ended_at, events, views, carts, checkouts, orders, cart_units, cart_amount, currency,"
    " order_id"
)
_PAIRS = "unnest(%(visitors)s::uuid[], %(days)s::date[]) as pair (visitor, day)"
# The sums of the days are out of date. Days whose sessions may be dropped keep their sums.
_DELETE = f"""
with outdated as (delete from {{schema}}.analytics_sessionday where day = any(%(days)s::date[])
                  and day >= %(oldest)s::date)
delete from {{schema}}.analytics_session s using {_PAIRS} where s.day = pair.day and s.visitor = pair.visitor
"""  # noqa: S608 - our own names
# The lateral join forces an index lookup for each pair.
_OF_PAIRS = f"""{_PAIRS} cross join lateral (
    select * from {{schema}}.analytics_activity
    where visitor = pair.visitor and at >= pair.day::timestamp at time zone 'UTC'
      and at < (pair.day + 1)::timestamp at time zone 'UTC' offset 0) a"""  # noqa: S608 - our own names
_WRITE = f"""
insert into {{schema}}.analytics_session ({_COLUMNS})
with numbered as materialized ({SESSIONS.format(activities=_OF_PAIRS)})
{SUMMED}
"""

# `sure`: with one action nobody knows whether the cookie came back. `lost`: a cart that was left behind.
SUMS = """
select {keys}, count(*) as sessions, count(*) filter (where sure) as visited,
       count(*) filter (where sure and orders > 0) as with_order,
       count(*) filter (where sure and views > 0) as viewed,
       count(*) filter (where sure and views > 0 and carts > 0) as cart,
       count(*) filter (where sure and views > 0 and carts > 0 and checkouts > 0) as checkout,
       count(*) filter (where sure and views > 0 and carts > 0 and checkouts > 0 and orders > 0) as ordered,
       count(*) filter (where lost) as abandoned, sum(cart_amount) filter (where lost)::bigint as amount
from (select *, events >= 2 and is_over as sure, is_over and cart_units > 0 and orders = 0 as lost
      from (select *, {is_over} as is_over from {sessions} where {chosen}) visit) visit
group by {keys}
"""
_SUM_DAY = "insert into {schema}.analytics_sessionday " + SUMS.format(
    keys="day, currency", is_over="true", sessions="{schema}.analytics_session", chosen="day = %s"
)


def compute_sessions(generation: Generation | None = None) -> int:
    """Compute the sessions of all touched visitors and days; return their number.

    Returns 0 at once while another process computes.
    """
    chosen, computed = generation or current(), 0
    while chunk := _compute_chunk(chosen.schema, chosen.home or chosen.schema):
        computed += chunk
    return computed


def _compute_chunk(schema: str, home: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        if not _take_lock(cursor, schema):
            return 0
        cursor.execute(_TAKE.format(schema=schema), [CHUNK])
        taken = cursor.fetchall()
        if taken:
            pairs = split_columns(("visitors", "days"), sorted(set(taken)))
            prepare_days(cursor, home, "analytics_session", {day for _, day in taken})
            # Each statement sees the activities that were committed before it began.
            cursor.execute(_DELETE.format(schema=schema), pairs | {"oldest": str(find_oldest_day())})
            cursor.execute(_WRITE.format(schema=schema), pairs)
    return len(taken)


def _take_lock(cursor: CursorWrapper, schema: str) -> bool:
    """Return whether no other process computes sessions of `schema` until the open transaction ends."""
    cursor.execute("select pg_try_advisory_xact_lock(%s, hashtext(%s))", [_COMPUTING % 2**31, schema])
    return bool(cursor.fetchone()[0])


def sum_days(generation: Generation | None = None) -> list[date]:
    """Store the sums of each past day that has none; return these days.

    Returns no day while another process computes.
    """
    schema, today = (generation or current()).schema, day_of(timezone.now())
    with transaction.atomic(), connection.cursor() as cursor:
        if not _take_lock(cursor, schema):
            return []
        cursor.execute(f"select distinct day from {schema}.analytics_sessionday")  # noqa: S608
        known = {day for (day,) in cursor.fetchall()}
        missing = [day for day in list_days(cursor, schema, "analytics_session") if day < today and day not in known]
        for day in missing:
            cursor.execute(_SUM_DAY.format(schema=schema), [day])
    return missing


def count_touched(generation: Generation | None = None) -> int:
    """Return the number of notes about visitors whose sessions are not computed yet."""
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {(generation or current()).schema}.analytics_touched")  # noqa: S608
        return int(cursor.fetchone()[0])
