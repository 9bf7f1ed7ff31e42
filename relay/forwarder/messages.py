"""Rows -> messages: the selection of rows for a batch, and the format of a row on the wire."""

from collections import deque
from collections.abc import Sequence
from functools import cache

from relay.forwarder.batches import Message
from relay.forwarder.reader import Row

# Limit of a batch, below the broker's default of 1 MiB, and an estimate for the headers and lengths of a row.
BATCH_BYTES = 900_000
ROW_OVERHEAD_BYTES = 400


def take_batch(waiting: deque[Row], limit: int, whole_batches: bool) -> list[Row]:
    """Remove the rows of the next batch, at most `limit`, from `waiting` and return them.

    Unless `whole_batches`, the batch contains at most one row of each key.
    """
    rows: list[Row] = []
    size = 0
    keys: set[bytes] = set()
    while waiting and len(rows) < limit:
        row = waiting[0]
        size += len(row.body) + len(row.key) + ROW_OVERHEAD_BYTES
        if rows and (size > BATCH_BYTES or row.key in keys):
            break
        if not whole_batches:
            keys.add(row.key)
        rows.append(waiting.popleft())
    return rows


def make_message(row: Row, source: bytes) -> Message:
    """Return `row` as a CloudEvents 1.0 message in Kafka's binary mode. `source` is the attribute `ce_source`."""
    own = [
        ("ce_id", row.event_id),
        ("ce_subject", row.key),
        ("ce_time", row.occurred_at),
        ("ce_sequence", row.sequence),
    ]
    if row.traceparent:
        own.append(("traceparent", row.traceparent))
    return Message(row.key, row.body, own, _share_headers(row.type, source))


@cache
def _share_headers(event_type: bytes, source: bytes) -> Sequence[tuple[str, bytes]]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type),
        ("ce_source", source),
        ("content-type", b"application/json"),
    )
