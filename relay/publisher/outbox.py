"""The outbox: publish() commits an event in the transaction of its cause, or not at all."""

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString
from zlib import crc32

from relay.arrays import to_array
from relay.conf import configuration
from relay.database import connection
from relay.publisher.event import MAX_KEY_CHARACTERS, Event
from relay.publisher.tracing import current_traceparent

# Below the broker's default of 1 MiB for a whole batch, with room for the headers.
MAX_EVENT_BYTES = 512 * 1024

# One statement, which locks the stream's row until the commit. Within a key the orders of commits, positions and
# sequence numbers are therefore the same (docs/architecture.md). Without READ COMMITTED no row is written.
READ_COMMITTED = "current_setting('transaction_isolation') = 'read committed'"
_PUBLISH_WITH_CAUSE = f"""stream as (
    insert into relay_stream as t (topic, key, last)
    select %(topic)s, %(key)s, 1 from cause where {READ_COMMITTED}
    on conflict (topic, key) do update set last = t.last + 1
    returning last)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, traceparent, created_at)
select %(topic)s, %(key)s, %(key_hash)s::int, stream.last, %(event_id)s::uuid, %(type)s, %(occurred_at)s::timestamptz,
       %(body)s, %(traceparent)s, clock_timestamp()
from stream
returning sequence"""  # noqa: S608 - a constant
_PUBLISH = f"with cause as (select 1), {_PUBLISH_WITH_CAUSE}"

# Streams are locked in the order of their keys. Positions follow the order of the list, because PostgreSQL computes
# identity values after the sort; within a key they must increase with the sequence. pg_current_xact_id() assigns the
# transaction id first: the reader's stable position could skip positions of a transaction without an id.
_PUBLISH_MANY = f"""
with event as (
    select * from unnest(%(topic)s::text[], %(key)s::text[], %(key_hash)s::int[], %(event_id)s::uuid[],
                         %(type)s::text[], %(occurred_at)s::timestamptz[], %(body)s::text[],
                         %(nth)s::int[], %(times)s::int[])
    with ordinality as e (topic, key, key_hash, event_id, type, occurred_at, body, nth, times, number)
    where {READ_COMMITTED} and pg_current_xact_id() is not null),
stream as (
    insert into relay_stream as t (topic, key, last)
    select topic, key, times from event where nth = 1
    order by topic collate "C", key collate "C"
    on conflict (topic, key) do update set last = t.last + excluded.last returning topic, key, last)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, traceparent, created_at)
select topic, key, key_hash, last - times + nth, event_id, type, occurred_at, body, %(traceparent)s, clock_timestamp()
from event join stream using (topic, key)
order by number
"""  # noqa: S608 - a constant


class PublishedOutsideTransaction(RuntimeError):
    """publish() was called outside a transaction. Wrap it and the cause of the event in transaction.atomic()."""


class WrongIsolationLevel(RuntimeError):
    """The transaction is not READ COMMITTED. Under REPEATABLE READ, concurrent publishers of one key would fail."""


class UnknownTopic(ValueError):
    """The module of the event class is not in RELAY["EVENTS"], so no topic exists for the event."""


class EventTooLarge(ValueError):
    """The JSON value of the event exceeds MAX_EVENT_BYTES, or its key exceeds MAX_KEY_CHARACTERS."""


def hash_key(key: str) -> int:
    """Return the hash that selects the shard and the Kafka partition of `key`: 31 bits of the CRC-32 of its UTF-8."""
    return crc32(key.encode()) & 0x7FFFFFFF


def publish(event: Event) -> int:
    """Write `event` to the outbox in the caller's transaction and return its sequence number within its key.

    Publish the events of one transaction in the order of their keys; otherwise two transactions may deadlock.

    :raises PublishedOutsideTransaction: no transaction is open.
    :raises WrongIsolationLevel: the transaction is not READ COMMITTED.
    :raises UnknownTopic: the module of the event class is not in RELAY["EVENTS"].
    :raises EventTooLarge: the encoded event exceeds MAX_EVENT_BYTES, or its key exceeds MAX_KEY_CHARACTERS.
    """
    _check_transaction(event)
    values = encode_event(event)
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH, values)
        row = cursor.fetchone()
    if row is None:
        raise WrongIsolationLevel(f"{event.type_name()} for key {event.key}")
    return int(row[0])


def publish_with_cause(
    cause: LiteralString, event: Event, *, body: LiteralString = "%(body)s"
) -> tuple[LiteralString, dict[str, Any]]:
    """Return one SQL statement that writes `cause` and publishes `event`, and the parameters of the event.

    The statement needs no open transaction. It returns one row if it has published the event, else no row.

    :param cause: CTEs without the leading ``with``. The CTE named ``cause`` must write only if READ_COMMITTED holds. It
        returns one row to publish the event, or no row to publish nothing.
    :param body: an expression that returns the event's JSON. It may complete ``%(body)s``, the JSON of `event`, with
        values that only the statement knows.
    :raises UnknownTopic, EventTooLarge: for the same reasons as :func:`publish`.
    """
    return f"with {cause},\n{_PUBLISH_WITH_CAUSE.replace('%(body)s', body)}", encode_event(event)


def publish_many(events: Sequence[Event]) -> None:
    """Write `events` to the outbox in one statement. Events of one key get sequence numbers in the order of the list.

    The keys are locked in sorted order, so the list may have any order. Raises the exceptions of :func:`publish`.
    """
    if not events:
        return
    _check_transaction(events[0])
    modules = configuration().event_modules
    rows = [_encode(event, modules) for event in events]
    columns: dict[str, Iterable[Any]] = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    columns["nth"], columns["times"] = _number([row[:2] for row in rows])
    values: dict[str, str] = {name: to_array(column) for name, column in columns.items()}
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH_MANY, values | {"traceparent": current_traceparent()})
        written = cursor.rowcount
    if written != len(events):
        raise WrongIsolationLevel(f"{len(events)} events, the first is {events[0].type_name()} for key {events[0].key}")


def _check_transaction(event: Event) -> None:
    if not connection.in_atomic_block:
        raise PublishedOutsideTransaction(f"{event.type_name()} for key {event.key}")


def encode_event(event: Event) -> dict[str, Any]:
    """Return the columns of the event's outbox row by name. Check everything that does not need the database.

    :raises UnknownTopic: the module of the event class is not in RELAY["EVENTS"].
    :raises EventTooLarge: the encoded event exceeds MAX_EVENT_BYTES, or its key exceeds MAX_KEY_CHARACTERS.
    """
    values = _encode(event, configuration().event_modules)
    return dict(zip(_COLUMNS, values, strict=True), traceparent=current_traceparent())


_COLUMNS = ("topic", "key", "key_hash", "event_id", "type", "occurred_at", "body")


def _encode(event: Event, modules: Sequence[str]) -> tuple[Any, ...]:
    if type(event).__module__ not in modules:
        raise UnknownTopic(f"{type(event).__module__}.{type(event).__name__} is in none of {modules}")
    body, key, name = event.encode(), event.key, event.type_name()
    if len(body) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"{name} has {len(body)} bytes, the limit is {MAX_EVENT_BYTES}")
    if len(key) > MAX_KEY_CHARACTERS:
        raise EventTooLarge(f"the key of {name} has {len(key)} characters, the limit is {MAX_KEY_CHARACTERS}")
    return event.topic, key, hash_key(key), event.event_id, name, event.occurred_at, body.decode()


def _number(keys: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Return each entry's 1-based position among the entries with its key, and the number of those entries."""
    seen: dict[tuple[str, str], int] = {}
    nth = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        nth.append(seen[key])
    return nth, [seen[key] for key in keys]
