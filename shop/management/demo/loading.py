"""The way of the invented events into analytics: through its real handlers, without the outbox.

`manage.py verify` compares the outbox with Kafka, orders, stock and payments, so events without these would be reported
as differences. Instead a row of LoadedHistory says until when facts without a stream were loaded; the recount skips
these facts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from analytics.facts.consumer import add_events
from analytics.generation import TABLES
from analytics.models import Activity, LoadedHistory, OrderFact
from analytics.seal import seal_days
from analytics.sessions import compute_sessions, count_touched, sum_days
from analytics.sums import sum_past_days
from relay import Event
from relay.arrays import split_into_chunks
from relay.publisher.canary import CanarySent
from shop.management.demo.curve import Calendar

#: Events that one transaction adds.
CHUNK = 3000
_OLDEST = "select min(created_at) from relay_outbox where topic <> %s"
# The events were on time, except the ones that occurred while analytics was away.
_ARRIVED = """
with loaded as (
    delete from {arrivals} where minute < %(end)s returning minute, count),
summed as (select minute, sum(count) as count from loaded group by minute)
insert into {arrivals} (minute, arrived, count)
select minute, case when minute >= %(began)s and minute < %(ended)s then %(ended)s else minute end, count from summed
"""


def find_end() -> datetime:
    """Return the end of the history: now, or the end of the hour in which the outbox began, if that is earlier.

    The recount compares everything after that hour with the outbox.
    """
    now = timezone.now().replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [CanarySent.topic])
        oldest: datetime | None = cursor.fetchone()[0]
    if oldest is None:
        return now
    return min(now, oldest.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))


def count_facts() -> tuple[int, int]:
    """Return the number of orders and of activities that analytics knows."""
    return OrderFact.objects.count(), Activity.objects.count()


def load_day(events: Iterable[Event]) -> None:
    """Give `events` to the handlers in the order of the list."""
    for chunk in split_into_chunks(events, CHUNK):
        for wave in split_into_waves(chunk):
            with transaction.atomic():
                add_events(None, wave)


def split_into_waves(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield lists of events. As from the consumer, each list has at most one event of an order or product."""
    waves: dict[int, list[Event]] = defaultdict(list)
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for event in events:
        if event.topic == "shop.activity":
            waves[0].append(event)
        else:
            waves[seen[event.topic, event.key]].append(event)
            seen[event.topic, event.key] += 1
    for number in sorted(waves):
        yield waves[number]


def finish(calendar: Calendar) -> None:
    """Record the load, let the arrivals look as if the events had been on time, compute sessions and seal days."""
    LoadedHistory.objects.create(until=calendar.end)
    with connection.cursor() as cursor:
        cursor.execute(
            _ARRIVED.format(arrivals=TABLES["arrival"]),
            {"end": calendar.end, "began": calendar.away.began, "ended": calendar.away.ended},
        )
    while count_touched():
        compute_sessions()  # returns at once while a worker of the shop computes
    sum_days()
    sum_past_days()
    with connection.cursor() as cursor:
        cursor.execute("analyze " + ", ".join(TABLES.values()))
    seal_days()
