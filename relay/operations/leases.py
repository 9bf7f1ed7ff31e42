"""Who forwards what: the relays at work and the shards that each of them holds, by the database's clock."""

from dataclasses import dataclass

from relay.database import connection, transaction
from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention

_LOWER = """
with passed as (select shard from relay_shardlease where low_mark > %(position)s order by shard for update)
update relay_shardlease lease set low_mark = %(position)s from passed where lease.shard = passed.shard
"""


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


@dataclass(frozen=True, slots=True)
class Rescan:
    """The relays look at all rows above `position` again: those of so many `shards` had gone past it."""

    position: int
    shards: int


def rescan(position: int, *, actor: str, reason: str, dry_run: bool = False) -> Rescan:
    """Lower the marks to `position`. Relays at work notice it when they renew their leases, within a second.

    Only what is not published is sent; to find that, every row above `position` is read once.

    :raises Refused: the position is negative, or no reason is given.
    """
    demand_reason(reason)
    if position < 0:
        raise Refused(f"a position is 0 or more, not {position}")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select max(low_mark) from relay_shardlease")
        (before,) = cursor.fetchone()
        cursor.execute(_LOWER, {"position": position})
        shards = cursor.rowcount
        if shards:
            record_intervention("rescan", actor=actor, reason=reason, before=str(before), after=str(position))
        transaction.set_rollback(dry_run)
    return Rescan(position, shards)
