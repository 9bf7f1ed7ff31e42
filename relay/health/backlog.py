"""The backlog of the relays: rows of the outbox that are not in Kafka yet."""

from dataclasses import dataclass

from relay.consumer.watermarks import use_indexes
from relay.partitions import read_low_watermark

# Below the low watermark only refused rows, and rows behind them, are unpublished. The query finds refused rows first,
# then the others by key; the lateral join forces this order, since any other plan reads every published row.
_UNPUBLISHED = """
with refused as materialized (
    select topic, key, sequence from relay_outbox where refused_reason is not null),
unpublished as (
    select position, created_at, refused_reason from relay_outbox
    where position > %(low_mark)s and published_at is null
    union all
    select w.position, w.created_at, w.refused_reason
    from refused r cross join lateral (
        select position, created_at, refused_reason from relay_outbox
        where topic = r.topic and key = r.key and sequence >= r.sequence and published_at is null
          and position + 0 <= %(low_mark)s offset 0) w)
"""
_COUNT_UNPUBLISHED = (
    _UNPUBLISHED
    + """
select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8, count(refused_reason)
from unpublished"""
)
_LIST_UNPUBLISHED = (
    _UNPUBLISHED
    + """
select position from unpublished where refused_reason is not null or not %(refused)s
order by position desc limit %(limit)s"""
)


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Rows of the outbox that are not in Kafka yet, and the age of the oldest in seconds."""

    rows: int
    oldest_seconds: float
    refused: int


def read_unpublished() -> Unpublished:
    """Return the number and the age of the unpublished rows."""
    low_watermark = read_low_watermark()
    with use_indexes() as cursor:
        cursor.execute(_COUNT_UNPUBLISHED, {"low_mark": low_watermark})
        return Unpublished(*cursor.fetchone())


def list_unpublished(limit: int, *, refused: bool) -> list[int]:
    """Return the positions of at most `limit` unpublished rows, the newest first; of refused rows only if `refused`."""
    low_watermark = read_low_watermark()
    with use_indexes() as cursor:
        cursor.execute(_LIST_UNPUBLISHED, {"low_mark": low_watermark, "limit": limit, "refused": refused})
        return [position for (position,) in cursor.fetchall()]
