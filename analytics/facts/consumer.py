"""The consumer of the facts: one handler of all events, which takes a few statements for each batch."""

from collections.abc import Sequence

from django.db import connection

from analytics.facts.activity import write_activities
from analytics.facts.orders import write_orders
from analytics.facts.rollups import write_minutes, write_products
from analytics.facts.rows import READERS, read_rows
from analytics.facts.seals import note_late_events
from analytics.facts.stock import write_stock
from analytics.generation import CONSUMER, NEXT, Generation, share_current
from analytics.models import GenerationChoice
from relay import Consumer, Event


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
        add_events(generation.schema if generation else share_current(), events)

    return declared


def list_followers() -> list[str]:
    """Return the names of the cursors of the other generation, whose events must not be pruned."""
    return [NEXT] if GenerationChoice.objects.exclude(other="").exists() else []


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
