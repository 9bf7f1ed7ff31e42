"""Known bugs of outbox relays and consumers. Each function patches one bug into the code of this process."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from kafka import KafkaConsumer

from relay.consumer import consumer, subscription
from relay.consumer.arrivals import Arrival
from relay.consumer.cursors import LockedCursor
from relay.consumer.deliveries import Delivery
from relay.forwarder import forwarder, lease, marker, producer, reader

patch = setattr


def read_by_position() -> None:
    """The relay reads only above the last position. A row that commits late has a lower position and is lost."""
    read = reader.Reader.read

    def read_on(self: reader.Reader, *args: Any) -> tuple[list[reader.Row], bool]:
        rows, more = read(self, *args)
        if rows:
            self.clean = max(self.clean, rows[-1].position)
        return rows, more

    patch(reader.Reader, "read", read_on)


def skip_locked() -> None:
    """Relays share rows by SKIP LOCKED instead of by key. A later event of a key overtakes an earlier one."""
    columns = reader._READ[: reader._READ.index("from (select")]
    unlocked = (
        f"{columns} from relay_outbox where published_at is null order by position limit 10 for update skip locked"
    )

    def forward_in_one_transaction(relay: forwarder.Forwarder) -> bool:
        with transaction.atomic():
            relay._enqueue(reader._query(unlocked, {}))
            relay._send()
            relay._drain()
        return False

    def mark(self: marker.Marker, statement: str, rows: Sequence[reader.Row]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "update relay_outbox set published_at = now() where position = any(%s)",
                [[row.position for row in rows]],
            )

    patch(forwarder.Forwarder, "forward_round", forward_in_one_transaction)
    patch(marker.Marker, "_write", mark)
    patch(lease.ShardLeases, "is_due", False)


def ignore_failed_futures() -> None:
    """The relay counts each record as sent as soon as the producer has it."""
    patch(producer.Sending, "done", True)
    patch(producer.Sending, "error", None)


def commit_offset_before_effect() -> None:
    """The consumer commits the offsets of received events before it applies the events."""
    poll = subscription.Subscription.poll

    def poll_and_commit(member: subscription.Subscription, **kwargs: Any) -> list[Delivery]:
        deliveries = poll(member, **kwargs)
        if deliveries:
            member.commit(deliveries)
        return deliveries

    patch(subscription.Subscription, "poll", poll_and_commit)


def ignore_cursor() -> None:
    """The consumer treats each delivery as new and ignores its cursor."""
    take = consumer.Consumer._take

    def take_again(self: consumer.Consumer, cursor: LockedCursor, arrival: Arrival) -> bool:
        cursor.last = min(cursor.last, arrival.sequence - 1)
        return take(self, cursor, arrival)

    patch(consumer.Consumer, "_take", take_again)


def commit_by_itself() -> None:
    """The Kafka client's default: it commits delivered offsets periodically and on close, before they are applied."""

    class AutoCommitting(KafkaConsumer):  # type: ignore[misc]
        def __init__(self, *topics: str, **options: Any) -> None:
            super().__init__(*topics, **options | {"enable_auto_commit": True, "auto_commit_interval_ms": 100})

        def close(self, autocommit: bool = True, **options: Any) -> None:
            super().close(autocommit=True, **options)

    patch(subscription, "KafkaConsumer", AutoCommitting)
    patch(subscription.Subscription, "commit", lambda member, deliveries: None)


def reset_to_latest() -> None:
    """The Kafka client's default: a group without an offset starts at the end of the log."""

    class StartingAtTheEnd(KafkaConsumer):  # type: ignore[misc]
        def __init__(self, *topics: str, **options: Any) -> None:
            super().__init__(*topics, **options | {"auto_offset_reset": "latest"})

    patch(subscription, "KafkaConsumer", StartingAtTheEnd)
