"""Outbox -> Kafka. A row is marked as published only after the broker has acknowledged its own record.

Rows are read by their state, never by a position that was reached: a row that commits late has a lower position.
Whatever goes wrong between sending and marking, the row is still unpublished, so it is sent again.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from relay import kafka
from relay.canary import Canary
from relay.conf import configuration
from relay.failpoint import failpoint
from relay.heartbeat import Pulse
from relay.lease import Lease
from relay.loop import TRANSIENT, Backoff

logger = logging.getLogger(__name__)

BATCH_ROWS = 1000
IDLE_SECONDS = 0.02

_FETCH = """
select position, topic, key, sequence, event_id, type, occurred_at, body, traceparent
from relay_outbox o
where published_at is null
  and not exists (select from relay_outbox r
                  where r.topic = o.topic and r.key = o.key and r.refused_reason is not null)
order by position limit %s
"""

# The lease's row is locked until commit: no other relay can take over between the check and the mark.
_HOLD_LEASE = "select from relay_lease where name = %s and owner = %s and epoch = %s for update"
_MARK = "update relay_outbox set published_at = clock_timestamp() where position = any(%s)"


class LeaseLost(Exception):
    """Another relay has taken over. The rows stay unpublished: the new owner sends them again."""


class Row(NamedTuple):
    """An unpublished row of the outbox."""

    position: int
    topic: str
    key: str
    sequence: int
    event_id: uuid.UUID
    type: str
    occurred_at: datetime
    body: str
    traceparent: str


class Forwarder:
    """One relay process."""

    def __init__(self, *, name: str = "relay") -> None:
        self.lease = Lease(name, owner=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
        self._pulse = Pulse(name)
        self._canary = Canary()
        self._producer: kafka.Producer | None = None
        # After a failure rows are sent one by one until the failed ones are through, to see which record is at fault.
        self._careful_rows = 0

    def run(self, stopping: threading.Event) -> None:
        """Forward until `stopping` is set. Waits out every absence of the database and of Kafka."""
        backoff = Backoff(stopping, pulse=self._pulse)
        while not stopping.is_set():
            try:
                self._canary.tick()
                forwarded = self.forward_round()
                self._pulse.beat()
                backoff.succeed()
                if not forwarded:
                    stopping.wait(IDLE_SECONDS)
            except (*TRANSIENT, LeaseLost) as error:
                self._drop_producer()
                backoff.pause("relay cannot forward", error)
        self._drop_producer()
        try:
            self.lease.release()
        except TRANSIENT:
            logger.warning("the lease could not be released and will run out by itself")

    def forward_round(self) -> int:
        """Send one batch, mark what was acknowledged, and return how many rows that were.

        :raises BrokerUnavailable: some records have an unknown outcome; those before them are marked.
        :raises LeaseLost: another relay took over meanwhile; nothing is marked.
        """
        if not self.lease.hold():
            return 0
        rows = fetch_unpublished(1 if self._careful_rows else BATCH_ROWS)
        if not rows:
            return 0
        if self._producer is None:
            self._producer = kafka.Producer()
        failpoint("relay.fetched")
        outcomes = self._producer.send([make_record(row) for row in rows])
        failpoint("relay.sent")
        acknowledged, failures = split_outcomes(rows, outcomes)
        self._mark(acknowledged)
        failpoint("relay.marked")
        if failures:
            self._handle_failures(failures, unsent=len(rows) - len(acknowledged))
        elif self._careful_rows:
            self._careful_rows -= 1
        return len(acknowledged)

    def _mark(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_HOLD_LEASE, [self.lease.name, self.lease.owner, self.lease.epoch])
            if cursor.fetchone() is None:
                raise LeaseLost(f"{self.lease.owner} is no longer in epoch {self.lease.epoch}")
            cursor.execute(_MARK, [[row.position for row in rows]])

    def _handle_failures(self, failures: dict[Row, Exception], *, unsent: int) -> None:
        self._drop_producer()
        refused = {row: error for row, error in failures.items() if isinstance(error, kafka.RecordRefused)}
        if not refused:
            raise next(iter(failures.values()))
        if not self._careful_rows:
            # An oversized record makes innocent neighbours fail: only what fails alone is at fault.
            self._careful_rows = unsent
            return
        for row, error in refused.items():
            refuse(row, str(error))
        self._careful_rows -= 1

    def _drop_producer(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None


def fetch_unpublished(limit: int) -> list[Row]:
    """Read the first unpublished rows, without those whose key holds a refused one."""
    with connection.cursor() as cursor:
        cursor.execute(_FETCH, [limit])
        return [Row(*row) for row in cursor.fetchall()]


def make_record(row: Row) -> kafka.Outgoing:
    """Turn a row into a CloudEvents 1.0 message in Kafka's binary mode."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(row.event_id),
        "ce_type": row.type,
        "ce_source": configuration().source,
        "ce_subject": row.key,
        "ce_time": row.occurred_at.isoformat(),
        "ce_sequence": str(row.sequence),
        "content-type": "application/json",
    }
    if row.traceparent:
        headers["traceparent"] = row.traceparent
    return kafka.Outgoing(row.topic, row.key, row.body.encode(), [(k, v.encode()) for k, v in headers.items()])


def split_outcomes(rows: Sequence[Row], outcomes: Sequence[Exception | None]) -> tuple[list[Row], dict[Row, Exception]]:
    """Separate what may be marked from what failed. What follows a failure in its key counts as neither."""
    acknowledged: list[Row] = []
    failures: dict[Row, Exception] = {}
    stopped: set[tuple[str, str]] = set()
    for row, error in zip(rows, outcomes, strict=True):
        if (row.topic, row.key) in stopped:
            continue
        if error is None:
            acknowledged.append(row)
        else:
            stopped.add((row.topic, row.key))
            failures[row] = error
    return acknowledged, failures


def refuse(row: Row, reason: str) -> None:
    """Park a row at the relay: its key waits, every other flows."""
    logger.error("Kafka refuses a record for good", extra={"position": row.position, "reason": reason})
    with connection.cursor() as cursor:
        cursor.execute("update relay_outbox set refused_reason = %s where position = %s", [reason, row.position])
