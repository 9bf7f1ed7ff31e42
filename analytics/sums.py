"""Sums of each finished day, which panels of 30 days read instead of orders, minutes and hours.

A later event that changes the day deletes its sums (`analytics.facts.seals`), and the hourly task stores them again.
"""
# ruff: noqa: S608 - our own names

from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from analytics.facts.days import day_of
from analytics.facts.seals import SEALING
from analytics.generation import TABLES, Generation, current

#: Days whose sums are stored: the 30 days of a panel, and the 30 days before.
STORED_DAYS = 62
#: Sums are stored when a day has been over for this long, so that no open transaction takes it for the present day.
SETTLED = timedelta(hours=1)
STEPS = ("confirmed", "captured", "shipped")
_COUNTS = {
    "placed": "count(*)",
    "ready": "count(*) filter (where reserved_at is not null and authorized_at is not null)",
    "decided": "count(*) filter (where declined_at is not null or authorized_at is not null)",
    **{f"{step}": f"count({step}_at)" for step in (*STEPS, "delivered")},
    **{f"{step}_waiting": f"count(*) filter (where {step}_at is null and cancelled_at is null)" for step in STEPS},
    "amount": "sum(total)::bigint",
}
KEYS, COUNTS = ("currency", "buyer", "decline", "cancellation"), tuple(_COUNTS)
# Grouped by columns with few values, so that PostgreSQL sums up without sorting all orders. An empty `decline` or
# `cancellation` means that the order was not declined or cancelled.
ORDERS = f"""
select {{day}} as day, coalesce(currency, '') as currency,
       case when nth_order is null then 'unknown' when nth_order = 1 then 'new' else 'returning' end as buyer,
       case when declined_at is null then '' else coalesce(nullif(decline_reason, ''), 'unknown') end as decline,
       case when cancelled_at is null then '' else coalesce(nullif(reason, ''), 'unknown') end as cancellation,
       {", ".join(f"{expression} as {name}" for name, expression in _COUNTS.items())}
from {{orders}} group by 1, 2, 3, 4, 5
"""
# Three digits, and hundredths below ten seconds: sums of rounded values stay small, and percentiles remain useful.
# `unnest` in the list of columns makes the rows of the steps without a nested loop, which verify must not use.
DURATIONS = f"""
select day, step,
       case when taken < 10 then round(taken * 100) / 100 when taken < 100 then round(taken * 10) / 10
            when taken < 1e3 then round(taken) when taken < 1e4 then round(taken / 10) * 10
            when taken < 1e5 then round(taken / 100) * 100 else round(taken / 1000) * 1000 end as seconds,
       count(*) as orders
from (select {{day}} as day, unnest(array[{", ".join(f"'{step}'" for step in STEPS)}]) as step,
             unnest(array[{", ".join(f"date_part('epoch', {step}_at - placed_at)" for step in STEPS)}]) as taken
      from {{orders}}) as passed
where taken is not null group by 1, 2, 3
"""
MINUTES = """
select {day} as day, kind, currency, sum(count)::bigint as count, sum(amount)::bigint as amount
from {minutes} group by 1, 2, 3
"""
HOURS = """
select {day} as day, sku, currency, sum(views)::bigint as views, sum(ordered_units)::bigint as units,
       sum(ordered_amount)::bigint as amount
from {hours} group by 1, 2, 3
"""


class Sums(NamedTuple):
    """How to compute a table of sums: `source` is the name of its rows in `statement`, and `at` the time of a row."""

    statement: str
    source: str
    table: str
    at: str

    def compose(self, day: str, rows: str) -> str:
        """Return the statement for the rows of the relation `rows`, with the expression `day`."""
        return self.statement.format(**{"day": day, self.source: rows})


#: The tables of sums by name.
SUMS = {
    "order_day": Sums(ORDERS, "orders", "order_fact", "placed_at"),
    "duration_day": Sums(DURATIONS, "orders", "order_fact", "placed_at"),
    "minute_day": Sums(MINUTES, "minutes", "minute", "minute"),
    "product_day": Sums(HOURS, "hours", "product_hour", "hour"),
}
_OF_DAY = """
(select * from {schema}.{table} where {at} >= %(day)s::timestamp at time zone 'UTC'
   and {at} < (%(day)s::date + 1)::timestamp at time zone 'UTC') source
"""
_MISSING = """
select at::date from generate_series(%(first)s::timestamp, %(last)s::timestamp, '1 day') past (at)
where not exists (select from {schema}.analytics_minuteday s where s.day = past.at::date) order by at
"""


def sum_past_days(generation: Generation | None = None, *, now: datetime | None = None) -> list[date]:
    """Store the sums of each finished day that has none, and delete old sums; return the days that had none."""
    schema = (generation or current()).schema
    last = day_of((now or timezone.now()) - SETTLED) - timedelta(days=1)
    values = {"first": last - timedelta(days=STORED_DAYS - 1), "last": last}
    with connection.cursor() as cursor:
        for name in SUMS:
            cursor.execute(f"delete from {schema}.{TABLES[name]} where day < %(first)s", values)
        cursor.execute(_MISSING.format(schema=schema), values)
        days = [day for (day,) in cursor.fetchall()]
    for day in days:
        sum_day(schema, day)
    return days


def sum_day(schema: str, day: date) -> None:
    """Store the sums of `day`. Later events of the day wait meanwhile, so each is in the sums or deletes them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", [SEALING])
        for name, sums in SUMS.items():
            source = _OF_DAY.format(schema=schema, table=TABLES[sums.table], at=sums.at)
            rows = sums.compose("%(day)s::date", source)
            cursor.execute(f"insert into {schema}.{TABLES[name]} {rows} on conflict do nothing", {"day": day})
