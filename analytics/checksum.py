"""Checksums per table and day (UTC). They do not depend on the order of rows, and contain no times of processing."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

from django.db.backends.utils import CursorWrapper

from analytics.generation import TABLES, Generation, current, reading

#: The day of a row of each table. A row without a day belongs to an event that overtook the first one of its order.
DAYS = {
    "order_fact": "(placed_at at time zone 'UTC')::date",
    "order_line_fact": "(coalesce(placed_at, rejected_at) at time zone 'UTC')::date",
    "activity": "(at at time zone 'UTC')::date",
    "minute": "(minute at time zone 'UTC')::date",
    "product_hour": "(hour at time zone 'UTC')::date",
    "session": "day",
    "sold_out": "(began_at at time zone 'UTC')::date",
}
#: Tables whose rows of a day depend on events of that day alone, so that a complete day can be sealed.
SEALED = ("activity", "minute", "product_hour")


class Checksum(NamedTuple):
    """The number of rows of a table and day, and the sum of their hashes."""

    table: str
    day: date | None
    rows: int
    sum: Decimal


def read_checksums(generation: Generation | None = None, *, day: date | None = None) -> list[Checksum]:
    """Return the checksums of all tables of `generation`, of all days or one `day`, sorted by table and day."""
    chosen = generation or current()
    with reading(chosen) as cursor:
        use_utc(cursor)
        return [one for name in DAYS for one in read_checksum(cursor, name, chosen, day=day)]


def use_utc(cursor: CursorWrapper) -> None:
    """Let the open transaction write times as texts in UTC: hashes depend on these texts."""
    cursor.execute("set local timezone = 'UTC'; set local datestyle = 'ISO'; set local extra_float_digits = 1")


def read_checksum(
    cursor: CursorWrapper, name: str, generation: Generation | None = None, *, day: date | None = None
) -> list[Checksum]:
    """Return the checksums of the table `name` by day."""
    schema = (generation or current()).schema
    cursor.execute(
        f"""
        select {DAYS[name]} as day, count(*), sum(hashtextextended(t::text, 0)::numeric)
        from {schema}.{TABLES[name]} t where %(day)s::date is null or {DAYS[name]} = %(day)s::date
        group by 1 order by 1
        """,  # noqa: S608 - our own names
        {"day": day},
    )
    return [Checksum(name, *row) for row in cursor.fetchall()]
