"""Who forwards what: the relays at work and the shards that each of them holds, by the database's clock."""

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Holding:
    """A shard's lease; `remaining_seconds` is negative when it has run out: any relay may take it."""

    shard: int
    owner: str
    epoch: int
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class Member:
    """A relay among which the shards are divided, for so long if it does not say so again; and what it holds now."""

    owner: str
    remaining_seconds: float
    shards: int


def read_holdings() -> list[Holding]:
    """Read every shard's lease, in the order of the shards."""
    with connection.cursor() as cursor:
        # A lease that was given up ends at -infinity.
        cursor.execute(
            "select shard, owner, epoch,"
            " extract(epoch from greatest(until, clock_timestamp() - interval '1 day') - clock_timestamp())::float8"
            " from relay_shardlease order by shard"
        )
        return [Holding(*row) for row in cursor.fetchall()]


def read_members() -> list[Member]:
    """Read every relay that is at work, those that have just gone included."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select m.owner, extract(epoch from greatest(m.until, clock_timestamp() - interval '1 day')"
            "                        - clock_timestamp())::float8,"
            " (select count(*) from relay_shardlease s where s.owner = m.owner and s.until > clock_timestamp())"
            " from relay_relaymember m order by m.owner"
        )
        return [Member(*row) for row in cursor.fetchall()]
