"""The consumer that writes the facts: one handler of all events, which takes a few statements for each batch."""

from collections.abc import Sequence

from django.db import connection

from analytics.facts.activity import write_activities
from analytics.facts.orders import write_orders
from analytics.facts.rollups import write_minutes, write_products
from analytics.facts.rows import READERS, read_rows
from analytics.facts.seals import note_late_events
from analytics.facts.stock import write_stock
from analytics.generation import FIRST, Generation, empty_tables
from relay import Consumer, Event


def declare_consumer(generation: Generation) -> Consumer:
    """Return a consumer with the name of `generation`, whose handler writes the tables of `generation`."""
    declared = Consumer(generation.consumer, rebuild=lambda: empty_tables(generation), pace_ms=200)

    # One handler for all classes: a transaction with events of all topics costs less than one for each topic.
    @declared.on(*READERS, many=True)
    def write_facts(events: Sequence[Event]) -> None:
        add_events(generation.schema, events)

    return declared


def add_events(schema: str, events: Sequence[Event]) -> None:
    """Add `events` to the tables of `schema` in the open transaction.

    All processes write the tables in this order and rows in the order of their keys, so they can't deadlock.
    """
    rows = read_rows(events)
    with connection.cursor() as cursor:
        write_orders(schema, rows)
        write_products(schema, rows)
        write_activities(cursor, schema, rows)
        write_stock(cursor, schema, rows)
        write_minutes(schema, rows)
        note_late_events(cursor, schema, rows)


consumer = declare_consumer(FIRST)
