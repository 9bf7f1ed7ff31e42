"""The dry run of a rebuild: the number of events, the time at the measured capacity, and the disk that it needs."""

import time
from dataclasses import dataclass

from django.db import connection, transaction

from analytics.generation import CONSUMER, NEXT, SCHEMAS, TABLES, Generation, create_tables, current
from analytics.rebuild.choice import read_choice
from analytics.rebuild.filler import STEP, Filler, find_first_position
from analytics.rebuild.sources import ACTIVITY, count_by_source, demand_sources
from relay.operations.replay import count_published

_SIZES = """
select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
from unnest(%(tables)s::text[]) as t (name) cross join lateral pg_partition_tree(to_regclass(t.name))
"""
# The share of the cursors in their table and its indexes.
_CURSORS = """
select coalesce((count(*) filter (where consumer = %(consumer)s)
                 * pg_total_relation_size('relay_cursor') / nullif(count(*), 0)), 0)::bigint from relay_cursor
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` is measured in events per second, without other load; None if there is no event to measure with.

    Lost activity comes from the current tables and the archive. If events of orders and stock are lost, `kept` says so,
    and their tables are copied.

    `megabytes` is the disk of the second set of tables and cursors, estimated from the first one.
    """

    outbox: int
    tables: int
    archive: int
    kept: str
    rate: float | None
    megabytes: float

    @property
    def events(self) -> int:
        """The number of events of all sources."""
        return self.outbox + self.tables + self.archive

    @property
    def seconds(self) -> float:
        """The duration of the rebuild without other load."""
        return self.events / self.rate if self.rate else 0.0


def make_plan(*, keep_orders: bool = False) -> Plan:
    """Return the plan of a rebuild. Measures the capacity with the first events of the outbox, and keeps nothing.

    :param keep_orders: whether the tables of orders and stock may be copied.
    :raises Refused: events can't be found.
    """
    schema = next(schema for schema in SCHEMAS if schema != current().schema)
    filler, choice = Filler(Generation(NEXT, schema)), read_choice()
    topics = filler.consumer.topics
    lost = demand_sources(topics, keep_orders=keep_orders)
    in_tables, in_archive = count_by_source(current().schema) if lost.is_activity else (0, 0)
    rate = choice.rate if choice.other else measure_rate(filler)
    tables = [f"{current().schema}.{table}" for table in TABLES.values()]
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, {"tables": tables})
        (size,) = cursor.fetchone()
        cursor.execute(_CURSORS, {"consumer": CONSUMER})
        size += cursor.fetchone()[0]
    outbox = count_published([ACTIVITY] if lost.names else topics)
    return Plan(outbox, in_tables, in_archive, lost.names, rate or None, size / 1e6)


def measure_rate(filler: Filler) -> float | None:
    """Return the events per second of two steps; None without an event. The transaction is rolled back."""
    first, rate = find_first_position() - 1, None
    with transaction.atomic():
        create_tables(filler.generation)
        for start in (first, first + STEP):  # the first step also plans the statements
            began = time.monotonic()
            if count := filler.apply_stretch(start, start + STEP):
                rate = count / (time.monotonic() - began)
        transaction.set_rollback(True)
    return rate
