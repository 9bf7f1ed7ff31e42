"""Publishing: an event is committed with its cause, in the same transaction, or not at all."""

from zlib import crc32

from django.conf import settings
from django.db import connection

from relay.event import Event

# Below the broker's default of 1 MiB for a whole batch, with room for the headers.
MAX_EVENT_BYTES = 512 * 1024

# One statement: the lock on the stream's row is held until commit, so that within a key the order of commits,
# of positions and of sequence numbers is the same. See docs/architecture.md. Under another isolation level than READ
# COMMITTED it writes nothing and returns nothing.
_PUBLISH = """
with stream as (
    insert into relay_stream as t (topic, key, last)
    select %(topic)s, %(key)s, 1 where current_setting('transaction_isolation') = 'read committed'
    on conflict (topic, key) do update set last = t.last + 1
    returning last)
insert into relay_outbox (topic, key, key_hash, sequence, event_id, type, occurred_at, body, created_at)
select %(topic)s, %(key)s, %(key_hash)s, stream.last, %(event_id)s, %(type)s, %(occurred_at)s,
       %(body)s, clock_timestamp()
from stream
returning sequence
"""


class PublishedOutsideTransaction(RuntimeError):
    """publish() needs the transaction of the event's cause: wrap both in transaction.atomic()."""


class WrongIsolationLevel(RuntimeError):
    """publish() needs READ COMMITTED: under REPEATABLE READ concurrent publishers of a key fail."""


class UnknownTopic(ValueError):
    """The event's class is not in one of the modules of RELAY["EVENTS"], so no topic exists for it."""


class EventTooLarge(ValueError):
    """The event's JSON value is larger than MAX_EVENT_BYTES."""


def hash_key(key: str) -> int:
    """Return the number that decides a key's relay shard and Kafka partition: CRC-32 of its UTF-8, 31 bits of it."""
    return crc32(key.encode()) & 0x7FFFFFFF


def publish(event: Event) -> int:
    """Write `event` to the outbox in the caller's transaction and return its sequence number within its key.

    Publish several events of one transaction in the order of their keys, or two transactions may deadlock.

    :raises PublishedOutsideTransaction: no transaction is open.
    :raises WrongIsolationLevel: the transaction is not READ COMMITTED.
    :raises UnknownTopic: the event is not part of the contract.
    :raises EventTooLarge: the encoded event is over MAX_EVENT_BYTES.
    """
    if not connection.in_atomic_block:
        raise PublishedOutsideTransaction(f"{event.type_name()} for key {event.key}")
    if type(event).__module__ not in settings.RELAY["EVENTS"]:
        raise UnknownTopic(f"{type(event).__module__}.{type(event).__name__} is in none of {settings.RELAY['EVENTS']}")
    body = event.encode()
    if len(body) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"{event.type_name()} has {len(body)} bytes, the limit is {MAX_EVENT_BYTES}")
    with connection.cursor() as cursor:
        cursor.execute(
            _PUBLISH,
            {
                "topic": event.topic,
                "key": event.key,
                "key_hash": hash_key(event.key),
                "event_id": event.event_id,
                "type": event.type_name(),
                "occurred_at": event.occurred_at,
                "body": body.decode(),
            },
        )
        row = cursor.fetchone()
    if row is None:
        raise WrongIsolationLevel(f"{event.type_name()} for key {event.key}")
    return int(row[0])
