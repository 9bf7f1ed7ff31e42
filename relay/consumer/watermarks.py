"""The watermarks of a consumer: for each topic, the position of the outbox up to which it has applied everything.

Counts of unapplied events, and searches for lost ones, start there. Parked keys do not hold a watermark back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db.backends.utils import CursorWrapper

from relay.arrays import to_array
from relay.database import connection, transaction

# Write a watermark after it has moved by this number of positions. Each count of the lag scans the positions above it.
WATERMARK_STEP = 100

#: The watermarks by consumer and topic.
Watermarks = Mapping[str, Mapping[str, int]]

# Insert a missing position before the search, so that a concurrent rebuild can delete it.
_WATERMARKS = """
with wanted as materialized (select * from unnest(%(consumers)s::text[], %(topics)s::text[]) as w (consumer, topic)),
made as (
    insert into relay_settled (consumer, topic, position) select consumer, topic, 0 from wanted
    on conflict do nothing returning consumer, topic, position)
select consumer, topic, position from made
union all select s.consumer, s.topic, s.position from wanted join relay_settled s using (consumer, topic)
"""
# Lock in the order of the primary key, because the sampler and the consumers raise the same rows.
_RAISE = """
with held as materialized (
    select s.consumer, s.topic, wanted.raised
    from unnest(%(consumers)s::text[], %(topics)s::text[], %(known)s::bigint[], %(raised)s::bigint[])
        as wanted (consumer, topic, known, raised)
    join relay_settled s using (consumer, topic)
    where s.position = wanted.known order by s.consumer, s.topic for update of s)
update relay_settled s set position = held.raised from held where s.consumer = held.consumer and s.topic = held.topic
"""
# A hash join over all cursors or streams costs a second for each 100,000 keys.
_ROW_BY_ROW = """
set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
set local enable_material = off; set local max_parallel_workers_per_gather = 0; set local jit = off;
set local work_mem = '32MB'
"""


@contextmanager
def use_indexes() -> Iterator[CursorWrapper]:
    """Yield a database cursor whose queries use indexes, even if old statistics say that the tables are empty."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROW_BY_ROW)
        yield cursor


def read_watermarks(cursor: CursorWrapper, topics: Mapping[str, Sequence[str]]) -> dict[str, dict[str, int]]:
    """Return the watermarks of each consumer for its `topics`, by consumer and topic."""
    pairs = [(consumer, topic) for consumer, its in topics.items() for topic in its]
    cursor.execute(_WATERMARKS, _name_pairs(pairs))
    found = {consumer: dict.fromkeys(its, 0) for consumer, its in topics.items()}
    for consumer, topic, position in cursor.fetchall():  # a row inserted concurrently is not visible
        found[consumer][topic] = position
    return found


def raise_watermarks(watermarks: Watermarks, raised: Watermarks) -> dict[str, dict[str, int]] | None:
    """Move the watermarks to `raised`, except moves that are shorter than WATERMARK_STEP.

    Return the watermarks afterwards, or None if a rebuild or another process has changed one since it was read.
    """
    after = {consumer: dict(its) for consumer, its in watermarks.items()}
    moves = [
        (consumer, topic, watermarks[consumer][topic], position)
        for consumer, its in raised.items()
        for topic, position in its.items()
        if position >= watermarks[consumer][topic] + WATERMARK_STEP
    ]
    if not moves:
        return after
    for consumer, topic, _, position in moves:
        after[consumer][topic] = position
    values = _name_pairs([move[:2] for move in moves])
    values |= {"known": to_array(move[2] for move in moves), "raised": to_array(move[3] for move in moves)}
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, values)
        return after if cursor.rowcount == len(moves) else None


def _name_pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {"consumers": to_array(pair[0] for pair in pairs), "topics": to_array(pair[1] for pair in pairs)}
