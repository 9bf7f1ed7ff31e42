"""The consumer of the facts: one handler of all events, which takes one statement for the rows of a batch."""

from collections.abc import Sequence
from datetime import date
from functools import cache

from django.db import connection
from django.db.backends.utils import CursorWrapper

from analytics.facts.activity import ACTIVITIES
from analytics.facts.columns import Part
from analytics.facts.days import prepare_days
from analytics.facts.orders import ORDERS
from analytics.facts.rollups import MINUTES, PRODUCTS
from analytics.facts.rows import READERS, Rows, read_rows
from analytics.facts.seals import restate_days
from analytics.facts.stock import write_stock
from analytics.generation import CONSUMER, NEXT, Generation
from analytics.models import GenerationChoice
from relay import Consumer, Event

#: One statement writes all parts that a batch has rows for, because each round trip costs as much as a small part.
PARTS = (ORDERS, PRODUCTS, ACTIVITIES, MINUTES)
_STATEMENT = """
with {expressions}
select distinct (at at time zone 'UTC')::date from ({times}) changed (at)
where at < date_trunc('day', statement_timestamp(), 'UTC')
"""


def declare_consumer(generation: Generation | None = None) -> Consumer:
    """Return a consumer whose handler writes the tables of `generation`, with cursors of its name.

    :param generation: default: the generation that is the current one at the time of each transaction.
    """
    if generation:
        declared = Consumer(generation.consumer, pace_ms=200)
    else:
        declared = Consumer(CONSUMER, pace_ms=200, rebuilt_by="manage.py analytics rebuild", followers=list_followers)

    # One handler for all classes: a transaction with events of all topics costs less than one for each topic.
    @declared.on(*READERS, many=True)
    def write_facts(events: Sequence[Event]) -> None:
        add_events(generation.schema if generation else None, events, home=generation.home if generation else "")

    return declared


def list_followers() -> list[str]:
    """Return the names of the cursors of the other generation, whose events must not be pruned."""
    return [NEXT] if GenerationChoice.objects.exclude(other="").exists() else []


def add_events(schema: str | None, events: Sequence[Event], *, home: str = "") -> None:
    """Add `events` to the tables of `schema` in the open transaction.

    All processes write the tables in one order and rows in the order of their keys, so they can't deadlock.

    :param schema: None: the one of the current generation, which stays the current one until the transaction ends.
    :param home: the schema with the partitions of the activity, if it is another one.
    """
    rows = read_rows(events)
    with connection.cursor() as cursor:
        prepared = prepare_days(cursor, home or schema, "analytics_activity", {at for _, at, *_ in rows.activities})
        chosen = schema or prepared
        past_days = write_rows(cursor, chosen, rows)
        write_stock(cursor, chosen, rows)
        restate_days(cursor, chosen, rows, past_days)


def write_rows(cursor: CursorWrapper, schema: str, rows: Rows) -> list[date]:
    """Add `rows` to the tables of all PARTS. Return the past days of changed rows."""
    chosen, values = list[Part](), dict[str, str]()
    for part in PARTS:
        if listed := part.list_values(rows):
            chosen.append(part)
            values |= listed
    if not chosen:
        return []
    cursor.execute(compose(schema, tuple(chosen)), values)
    return [day for (day,) in cursor.fetchall()]


@cache
def compose(schema: str, parts: tuple[Part, ...]) -> str:
    """Return one statement with the common table expressions of several parts."""
    expressions, times = ",".join(part.expressions for part in parts), [part.times for part in parts if part.times]
    return _STATEMENT.format(expressions=expressions, times=" union all ".join(times)).format(schema=schema)
