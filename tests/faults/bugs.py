"""Known bugs, each as a function that patches it into the product's code of this process."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from kafka import KafkaConsumer

from relay import consumer, forwarder, kafka, lease
from relay.cursors import LockedCursor

patch = setattr
COLUMNS = ", ".join(forwarder.Row._fields)


def read_by_position() -> None:
    """The relay remembers how far it has come: a row that commits late has a lower position."""
    reached: list[int] = []

    def fetch_next(limit: int) -> list[forwarder.Row]:
        with connection.cursor() as cursor:
            if not reached:
                cursor.execute("select max(position) from relay_outbox where published_at is not null")
                reached.append(cursor.fetchone()[0] or 0)
            cursor.execute(
                f"select {COLUMNS} from relay_outbox where position > %s order by position limit %s",  # noqa: S608
                [reached[-1], limit],
            )
            rows = [forwarder.Row(*row) for row in cursor.fetchall()]
        reached.extend(row.position for row in rows[-1:])
        return rows

    patch(forwarder, "fetch_unpublished", fetch_next)


def skip_locked() -> None:
    """Relays share the rows by SKIP LOCKED instead of by key: a later event of a key overtakes an earlier one."""

    def fetch_unlocked(limit: int) -> list[forwarder.Row]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"select {COLUMNS} from relay_outbox"  # noqa: S608
                " where published_at is null order by position limit 10 for update skip locked"
            )
            return [forwarder.Row(*row) for row in cursor.fetchall()]

    forward_round = forwarder.Forwarder.forward_round

    def forward_in_one_transaction(relay: forwarder.Forwarder) -> int:
        with transaction.atomic():
            return forward_round(relay)

    patch(forwarder.Forwarder, "forward_round", forward_in_one_transaction)
    patch(forwarder, "fetch_unpublished", fetch_unlocked)
    patch(lease.Lease, "hold", lambda self: True)
    patch(forwarder, "_HOLD_LEASE", "select %s, %s, %s")


def ignore_failed_futures() -> None:
    """Whatever was handed to the producer counts as sent."""
    send = kafka.Producer.send

    def send_and_hope(producer: kafka.Producer, records: Sequence[kafka.Outgoing]) -> list[Exception | None]:
        return [None for _ in send(producer, records)]

    patch(kafka.Producer, "send", send_and_hope)


def commit_offset_before_effect() -> None:
    """The consumer commits what it has received, then applies it."""
    poll = kafka.Source.poll

    def poll_and_commit(source: kafka.Source, **kwargs: Any) -> list[kafka.Delivery]:
        deliveries = poll(source, **kwargs)
        if deliveries:
            source.commit(deliveries)
        return deliveries

    patch(kafka.Source, "poll", poll_and_commit)


def ignore_cursor() -> None:
    """The consumer takes every delivery for a new one."""
    take = consumer.Consumer._take

    def take_again(self: consumer.Consumer, cursor: LockedCursor, arrival: consumer.Arrival) -> bool:
        cursor.last = min(cursor.last, arrival.sequence - 1)
        return take(self, cursor, arrival)

    patch(consumer.Consumer, "_take", take_again)


def commit_by_itself() -> None:
    """The client's defaults: it commits what it has handed out, from time to time and when it is closed."""

    class AutoCommitting(KafkaConsumer):  # type: ignore[misc]
        def __init__(self, *topics: str, **options: Any) -> None:
            super().__init__(*topics, **options | {"enable_auto_commit": True, "auto_commit_interval_ms": 100})

        def close(self, autocommit: bool = True, **options: Any) -> None:
            super().close(autocommit=True, **options)

    patch(kafka, "KafkaConsumer", AutoCommitting)
    patch(kafka.Source, "commit", lambda source, deliveries: None)


def reset_to_latest() -> None:
    """The client's default: a group without an offset begins with what comes next."""

    class StartingAtTheEnd(KafkaConsumer):  # type: ignore[misc]
        def __init__(self, *topics: str, **options: Any) -> None:
            super().__init__(*topics, **options | {"auto_offset_reset": "latest"})

    patch(kafka, "KafkaConsumer", StartingAtTheEnd)
