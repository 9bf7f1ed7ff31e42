"""What is still to be done: rows that wait for Kafka, and events that a consumer has not applied yet."""

from dataclasses import dataclass

from django.db import connection
from django.utils.module_loading import import_string

from relay.conf import configuration
from relay.consumer import Consumer
from relay.lease import read_low_mark

# Below the mark only refused rows, and what waits behind them, are not published.
_UNPUBLISHED = """
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8, count(refused_reason)
from (select created_at, refused_reason from relay_outbox where position > %(low_mark)s and published_at is null
      union all
      select w.created_at, w.refused_reason
      from relay_outbox r join relay_outbox w on w.topic = r.topic and w.key = r.key and w.sequence >= r.sequence
      where r.refused_reason is not null and w.position <= %(low_mark)s and w.published_at is null) waiting
"""


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Rows of the outbox that are not in Kafka yet, and the age of the oldest in seconds."""

    rows: int
    oldest_seconds: float
    refused: int


@dataclass(frozen=True, slots=True)
class Lag:
    """Published and unpublished events that a consumer has not applied, the keys they belong to, and parked keys.

    `oldest_seconds` is the age of the oldest such event, those of parked keys included.
    """

    events: int
    keys: int
    parked: int
    oldest_seconds: float = 0.0


def all_consumers() -> list[Consumer]:
    """Every consumer of RELAY["CONSUMERS"]."""
    return [import_string(path) for path in configuration().consumers]


def read_unpublished() -> Unpublished:
    """Count what waits in the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPUBLISHED, {"low_mark": read_low_mark()})
        return Unpublished(*cursor.fetchone())


def read_lag(consumer: Consumer) -> Lag:
    """Compare the end of every stream with the consumer's cursor."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select coalesce(sum(s.last - coalesce(c.last, s.floor)), 0)::bigint, count(*),
                   coalesce(extract(epoch from clock_timestamp() - min(o.created_at)), 0)::float8
            from relay_stream s left join relay_cursor c on c.consumer = %s and c.topic = s.topic and c.key = s.key
            left join relay_outbox o
                on o.topic = s.topic and o.key = s.key and o.sequence = coalesce(c.last, s.floor) + 1
            where s.topic = any(%s) and s.last > coalesce(c.last, s.floor)
            """,
            [consumer.name, consumer.topics],
        )
        events, keys, oldest_seconds = cursor.fetchone()
        cursor.execute(
            "select count(*) from relay_cursor where consumer = %s and parked_at is not null", [consumer.name]
        )
        (parked,) = cursor.fetchone()
    return Lag(events, keys, parked, oldest_seconds)
