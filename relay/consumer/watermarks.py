"""The watermarks of a consumer: for each topic, the position of the outbox up to which it has applied everything.

Counts of unapplied events, and searches for lost ones, start there. Parked keys do not hold a watermark back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db.backends.utils import CursorWrapper

from relay.database import connection, transaction

# Write a watermark after it has moved by this number of positions.
WATERMARK_STEP = 1000

# Insert a missing position before the search, so that a concurrent rebuild can delete it.
_WATERMARKS = """
with made as (
    insert into relay_settled (consumer, topic, position) select %(consumer)s, unnest(%(topics)s::text[]), 0
    on conflict do nothing returning topic, position)
select topic, position from made
union all select topic, position from relay_settled where consumer = %(consumer)s and topic = any(%(topics)s)
"""
# A hash join over all cursors or streams costs a second for each 100,000 keys.
_ROW_BY_ROW = """
set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
set local enable_material = off; set local max_parallel_workers_per_gather = 0; set local jit = off
"""


@contextmanager
def use_indexes() -> Iterator[CursorWrapper]:
    """Yield a database cursor whose queries use indexes, even if old statistics say that the tables are empty."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROW_BY_ROW)
        yield cursor


def read_watermarks(cursor: CursorWrapper, consumer: str, topics: list[str]) -> dict[str, int]:
    """Return the watermark of `consumer` for each of `topics`."""
    cursor.execute(_WATERMARKS, {"consumer": consumer, "topics": topics})
    return dict.fromkeys(topics, 0) | dict(cursor.fetchall())  # a row inserted concurrently is not visible


def raise_watermarks(consumer: str, watermarks: Mapping[str, int], raised: Mapping[str, int]) -> dict[str, int] | None:
    """Move the watermarks of `consumer` to `raised`, except moves that are shorter than WATERMARK_STEP.

    Return the watermarks afterwards, or None if a rebuild or another process has changed one since it was read.
    """
    after = dict(watermarks)
    for topic, position in raised.items():
        if position >= watermarks[topic] + WATERMARK_STEP:
            with connection.cursor() as cursor:
                cursor.execute(
                    "update relay_settled set position = %s where consumer = %s and topic = %s and position = %s",
                    [position, consumer, topic, watermarks[topic]],
                )
                if cursor.rowcount == 0:
                    return None
            after[topic] = position
    return after
