"""The restoration gives activity that the outbox has no longer to the other generation, before the outbox is read.

Activity of kept days comes from the current tables, of dropped days from the archive. Both pass the handlers. Dropped
days only count in minutes and product hours, because their activities and visits are dropped in each generation.
"""

from collections.abc import Callable
from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from analytics.facts.consumer import add_events
from analytics.generation import NEXT, current
from analytics.models import GenerationChoice, Kind
from analytics.rebuild.sources import ACTIVITY, LOST, find_replayed, finding_lost, list_days
from relay.process.failpoint import failpoint
from shop.events import ActivityEvent, CartChanged, CheckoutCompleted, CheckoutStarted, ProductViewed

#: Activities of one transaction.
CHUNK = 4000
# Events up to the floor are pruned; a restored event is one of these.
_CREATE_CURSORS = """
insert into relay_cursor (consumer, topic, key, last)
select %(next)s, c.topic, c.key, least(s.floor, c.last) from relay_stream s join relay_cursor c using (topic, key)
where c.consumer = %(consumer)s and c.topic = %(topic)s and s.floor > 0
"""
_READ = f"""
select number, is_archived, event_id, at, visitor, kind, sku, quantity, amount, currency, order_id from {LOST}
where number > %s and number <= %s order by number
"""  # noqa: S608 - our own names
# Numbers in place of visitors mean nothing to the tables, and the visits of these days are dropped.
_DELETE = """
with touched as (
    delete from {schema}.analytics_touched where day = %(day)s and visitor = any(%(visitors)s::uuid[]))
delete from {schema}.analytics_activity
where at >= %(day)s::timestamp at time zone 'UTC' and at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
  and visitor = any(%(visitors)s::uuid[])
"""


def begin_restoration(choice: GenerationChoice) -> None:
    """Note in `choice` that lost activity must be restored, and create the cursors behind it.

    Pruning waits for these cursors, so the same events are lost until the restoration ends.
    """
    choice.is_restoring, choice.restored_day, choice.restored_rows = True, None, 0
    with connection.cursor() as cursor:
        cursor.execute(_CREATE_CURSORS, {"next": NEXT, "consumer": current().consumer, "topic": ACTIVITY})


def restore(choice: GenerationChoice, report: Callable[[str], None]) -> None:
    """Restore the lost activity. Continue an interrupted restoration; do nothing after the end.

    :raises NotArchived: a file of the archive is missing or wrong.
    """
    if not choice.is_restoring:
        return
    with transaction.atomic():
        find_replayed()
    days = [day for day in list_days(choice.schema) if choice.restored_day is None or day >= choice.restored_day]
    report(f"restoring the activity of {len(days)} days that the outbox may lack")
    before = choice.events
    for day in days:
        restore_day(choice, day)
    choice.is_restoring = False
    choice.save(update_fields=["is_restoring"])
    report(f"{choice.events - before:,} events are restored from the tables and the archive")


def restore_day(choice: GenerationChoice, day: date) -> None:
    """Restore the lost activity of `day`, in small transactions that also store the progress."""
    with finding_lost(choice.schema, day):
        pass  # the table stays for this connection
    if choice.restored_day != day:
        choice.restored_day, choice.restored_rows = day, 0
    while _restore_chunk(choice):
        failpoint("generation.restored")


def _restore_chunk(choice: GenerationChoice) -> bool:
    """Restore the next CHUNK activities; return whether there were any."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_READ, [choice.restored_rows, choice.restored_rows + CHUNK])
        rows = cursor.fetchall()
        for is_archived, chosen in groupby(rows, key=lambda row: bool(row[1])):
            add_restored(choice, [read_activity(*row[2:]) for row in chosen], is_archived=is_archived)
        if rows:
            choice.restored_rows, choice.events = rows[-1][0], choice.events + len(rows)
            choice.beat_at = timezone.now()
            choice.save(update_fields=["restored_day", "restored_rows", "events", "beat_at"])
    return bool(rows)


def add_restored(choice: GenerationChoice, events: list[ActivityEvent], *, is_archived: bool) -> None:
    """Add `events` of the restored day to the other generation in the open transaction; of archived ones the counts."""
    add_events(choice.other, events)
    if is_archived:
        values = {"day": choice.restored_day, "visitors": list({event.visitor for event in events})}
        with connection.cursor() as cursor:
            cursor.execute(_DELETE.format(schema=choice.other), values)


def read_activity(
    event_id: UUID,
    at: Any,
    visitor: UUID,
    kind: str,
    sku: str,
    quantity: int,
    amount: int,
    currency: str,
    order_id: UUID | None,
) -> ActivityEvent:
    """Return the event that became the row of `Activity`. An archived row has no order: its id is then zero."""
    common: dict[str, Any] = {"event_id": event_id, "occurred_at": at, "visitor": visitor}
    if kind == Kind.VIEWED:
        return ProductViewed(**common, sku=sku)
    if kind == Kind.CART_CHANGED:
        return CartChanged(**common, sku=sku, quantity=quantity)
    if kind == Kind.CHECKOUT_STARTED:
        return CheckoutStarted(**common, units=quantity, total=amount, currency=currency)
    return CheckoutCompleted(**common, order_id=order_id or UUID(int=0))
