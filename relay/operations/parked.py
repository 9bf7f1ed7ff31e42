"""Queries for parked keys of consumers, and for outbox rows that Kafka refuses.

A refused row is listed as a key that the consumer `relay` has parked.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from relay.consumer.watermarks import use_indexes
from relay.database import connection
from relay.operations import Refused
from relay.operations.audit import find_consumer

RELAY = "relay"
_START = {"after": None, "after_id": None}

#: Keys that are counted, of consumers and of the relay: a page must not read without a limit.
COUNTED = 100_000

_OF_CONSUMERS = """
select id, consumer, topic, key, last + 1 as sequence, reason, attempts, parked_at as since, next_try_at, fingerprint
from relay_cursor where parked_at is not null
  and (%(consumer)s::text is null or consumer = %(consumer)s)
"""
_OF_RELAY = """
select position as id, 'relay' as consumer, topic, key, sequence, refused_reason as reason, 1 as attempts,
       created_at as since, null::timestamptz as next_try_at,
       relay_fingerprint('relay', type, refused_reason) as fingerprint
from relay_outbox where refused_reason is not null
  and (%(consumer)s::text is null or %(consumer)s = 'relay')
"""
_STUCK = f"""
with stuck as (
    (select * from ({_OF_CONSUMERS}) c where (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
       and (%(topic)s::text is null or topic = %(topic)s) and (%(key)s::text is null or key = %(key)s)
       and (%(after)s::timestamptz is null or (since, id) > (%(after)s, %(after_id)s))
       and (%(group)s::text is null or starts_with(relay_generalise(reason), %(group)s))
     {{order}} limit %(limit)s)
    union all
    (select * from ({_OF_RELAY}) r where (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
       and (%(topic)s::text is null or topic = %(topic)s) and (%(key)s::text is null or key = %(key)s)
       and (%(after)s::timestamptz is null or (since, id) > (%(after)s, %(after_id)s))
       and (%(group)s::text is null or starts_with(relay_generalise(reason), %(group)s))
     {{order}} limit %(limit)s))
"""  # noqa: S608 - our own text
# The reason and the type of one key describe the whole group.
_GROUPS = f"""{_STUCK.format(order="")},
counted as (
    select fingerprint, min(consumer) as consumer, count(*) as keys,
           count(*) filter (where next_try_at is null) as waiting,
           min(since) as first, max(since) as last, min(id) as id
    from stuck group by fingerprint)
select counted.consumer, coalesce(o.type, (select type from relay_outbox event where event.key = c.key
                                            and event.topic = c.topic and event.sequence = c.last + 1 limit 1), ''),
       relay_generalise(coalesce(c.reason, o.refused_reason)), keys, waiting,
       extract(epoch from clock_timestamp() - first)::float8, first, counted.last, counted.fingerprint
from counted
left join relay_cursor c on counted.consumer <> 'relay' and c.id = counted.id
left join relay_outbox o on counted.consumer = 'relay' and o.position = counted.id
order by keys desc, counted.consumer, 3
"""  # noqa: S608 - our own text
_KEYS = f"""{_STUCK.format(order="order by since, id")}
select consumer, topic, key, sequence, reason, attempts, since, next_try_at, id, fingerprint
from stuck order by since, id limit %(limit)s
"""  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of parked keys. None matches everything.

    `group` is the beginning of a reason in which each number and id is #. `fingerprint` names one cause.
    """

    consumer: str | None = None
    topic: str | None = None
    key: str | None = None
    group: str | None = None
    fingerprint: str | None = None

    def check(self) -> "Selection":
        """Return this selection.

        :raises Refused: the consumer does not exist.
        """
        if self.consumer not in (None, RELAY):
            find_consumer(self.consumer)
        return self


@dataclass(frozen=True, slots=True)
class Group:
    """Parked keys of one cause: one consumer, one event type, one reason except for numbers and ids.

    `first` and `last` are the times at which the oldest and the newest key were parked; `oldest_seconds` is an age.
    """

    consumer: str
    type: str
    reason: str
    keys: int
    waiting_for_a_person: int
    oldest_seconds: float
    first: datetime
    last: datetime
    fingerprint: str


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
    id: int
    fingerprint: str


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
    """A parked key, its event (None if it is not in the outbox), the number of events behind it, and the next ones.

    `traceback` belongs to the last failure; it is "" if the event failed without one, for example a refused row.
    """

    parked: Parked
    event: Waiting | None
    behind: int
    next_behind: list[Waiting]
    traceback: str


def list_groups(selection: Selection) -> list[Group]:
    """Return the parked keys grouped by cause, the largest group first. At most twice COUNTED keys are counted.

    :raises Refused: the consumer does not exist.
    """
    with use_indexes() as cursor:
        cursor.execute(_GROUPS, asdict(selection.check()) | _START | {"limit": COUNTED})
        return [Group(*row) for row in cursor.fetchall()]


def list_parked(
    selection: Selection, *, limit: int | None = None, after: tuple[datetime, int] | None = None
) -> list[Parked]:
    """Return at most `limit` parked keys, the longest parked first.

    :param after: `since` and `id` of the last key of the previous page.
    :raises Refused: the consumer does not exist.
    """
    start: dict[str, Any] = {"after": after[0], "after_id": after[1]} if after else _START
    with use_indexes() as cursor:
        cursor.execute(_KEYS, asdict(selection.check()) | start | {"limit": limit})
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
        cursor.execute(
            "select traceback from relay_cursor where consumer = %s and topic = %s and key = %s", [consumer, topic, key]
        )
        traced = cursor.fetchone()
    event = events.pop(0) if events and events[0].sequence == parked.sequence else None
    return Detail(
        parked,
        event,
        behind=max(0, row[0] - parked.sequence) if row else 0,
        next_behind=[replace(one, body="") for one in events[:limit]],
        traceback=(traced[0] if traced else None) or "",
    )
