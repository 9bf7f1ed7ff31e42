"""Queries for parked keys of consumers, and for outbox rows that Kafka refuses.

A refused row is listed as a key that the consumer `relay` has parked.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from relay.database import connection
from relay.operations import Refused
from relay.operations.audit import find_consumer

RELAY = "relay"

# Reasons that differ only in numbers and ids form one group.
_STUCK = r"""
with stuck as (
    select *, regexp_replace(regexp_replace(reason, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', '#', 'g'),
                             '[0-9]+', '#', 'g') as grp
    from (
        select consumer, topic, key, last + 1 as sequence, reason, attempts, parked_at as since, next_try_at
        from relay_cursor where parked_at is not null
        union all
        select 'relay', topic, key, sequence, refused_reason, 1, created_at, null
        from relay_outbox where refused_reason is not null
    ) as both_kinds
    where (%(consumer)s::text is null or consumer = %(consumer)s)
      and (%(topic)s::text is null or topic = %(topic)s) and (%(key)s::text is null or key = %(key)s)
),
chosen as (select * from stuck where %(group)s::text is null or starts_with(grp, %(group)s))
"""
_GROUPS = f"""{_STUCK}
select consumer, grp, count(*), count(*) filter (where next_try_at is null),
       extract(epoch from clock_timestamp() - min(since))::float8
from chosen group by consumer, grp order by 3 desc, 1, 2
"""  # noqa: S608 - our own text
_KEYS = f"""{_STUCK}
select consumer, topic, key, sequence, reason, attempts, since, next_try_at
from chosen order by since, consumer, topic, key limit %(limit)s
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of parked keys. None matches everything; `group` is the beginning of a reason's group."""

    consumer: str | None = None
    topic: str | None = None
    key: str | None = None
    group: str | None = None

    def check(self) -> "Selection":
        """Return this selection.

        :raises Refused: the consumer does not exist.
        """
        if self.consumer not in (None, RELAY):
            find_consumer(self.consumer)
        return self


@dataclass(frozen=True, slots=True)
class Group:
    """Parked keys of one consumer with the same reason except for numbers and ids; `oldest_seconds` is an age."""

    consumer: str
    reason: str
    keys: int
    waiting_for_a_person: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked key, and the sequence number of the event at which it waits."""

    consumer: str
    topic: str
    key: str
    sequence: int
    reason: str
    attempts: int
    since: datetime
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the outbox at which a parked key waits, or behind it."""

    sequence: int
    type: str
    event_id: str
    occurred_at: datetime
    published_at: datetime | None
    body: str


@dataclass(frozen=True, slots=True)
class Detail:
    """A parked key, its event (None if it is not in the outbox), the number of events behind it, and the next ones."""

    parked: Parked
    event: Waiting | None
    behind: int
    next_behind: list[Waiting]


def list_groups(selection: Selection) -> list[Group]:
    """Return the parked keys grouped by consumer and reason, the largest group first.

    :raises Refused: the consumer does not exist.
    """
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, asdict(selection.check()))
        return [Group(*row) for row in cursor.fetchall()]


def list_parked(selection: Selection, *, limit: int | None = None) -> list[Parked]:
    """Return at most `limit` parked keys, the longest parked first.

    :raises Refused: the consumer does not exist.
    """
    with connection.cursor() as cursor:
        cursor.execute(_KEYS, {**asdict(selection.check()), "limit": limit})
        return [Parked(*row) for row in cursor.fetchall()]


def find_parked(consumer: str, topic: str, key: str) -> Parked:
    """Return one parked key.

    :raises Refused: the key is not parked.
    """
    found = list_parked(Selection(consumer, topic, key), limit=1)
    if not found:
        raise Refused(
            f"{consumer} has not parked the key {key!r} of {topic}: "
            f"list the parked keys with relay_parked list --consumer {consumer}"
        )
    return found[0]


def show_parked(consumer: str, topic: str, key: str, *, limit: int = 10) -> Detail:
    """Return a parked key with the event at which it waits, and up to `limit` events behind it.

    :raises Refused: the key is not parked.
    """
    parked = find_parked(consumer, topic, key)
    with connection.cursor() as cursor:
        cursor.execute(
            "select sequence, type, event_id::text, occurred_at, published_at, body from relay_outbox"
            " where topic = %s and key = %s and sequence >= %s order by sequence limit %s",
            [topic, key, parked.sequence, limit + 1],
        )
        events = [Waiting(*row) for row in cursor.fetchall()]
        cursor.execute("select last from relay_stream where topic = %s and key = %s", [topic, key])
        row = cursor.fetchone()
    event = events.pop(0) if events and events[0].sequence == parked.sequence else None
    return Detail(
        parked,
        event,
        behind=max(0, row[0] - parked.sequence) if row else 0,
        next_behind=[replace(one, body="") for one in events[:limit]],
    )
