"""The running relays and the shards that each holds, by the database's clock; and the rescan of outbox rows."""

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
    """The lease of a shard. If `remaining_seconds` is negative, the lease has ended and any relay may take it."""

    shard: int
    owner: str
    epoch: int
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class Member:
    """A running relay, and the number of shards that it holds.

    It stays a member for `remaining_seconds`, unless it renews its membership.
    """

    owner: str
    remaining_seconds: float
    shards: int


def read_holdings() -> list[Holding]:
    """Return the leases of all shards, in the order of the shards."""
    with connection.cursor() as cursor:
        # A released lease ends in 1970, so limit the remaining seconds to minus one day.
        cursor.execute(
            "select shard, owner, epoch,"
            " extract(epoch from greatest(until, clock_timestamp() - interval '1 day') - clock_timestamp())::float8"
            " from relay_shardlease order by shard"
        )
        return [Holding(*row) for row in cursor.fetchall()]


def read_members() -> list[Member]:
    """Return all relays, including recently ended ones."""
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
    """A request to the relays to read all rows above `position` again; it lowered the marks of `shards` shards."""

    position: int
    shards: int


def rescan(position: int, *, actor: str, reason: str, dry_run: bool = False) -> Rescan:
    """Lower the low watermarks of all shards to `position`, so that relays send missed rows.

    Running relays notice this when they renew their leases, within a second. They scan all rows above `position` once,
    and send the unpublished ones.

    :raises Refused: `position` is negative, or `reason` is empty.
    """
    demand_reason(reason)
    if position < 0:
        raise Refused(f"the position must be 0 or more, not {position}")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select max(low_mark) from relay_shardlease")
        (before,) = cursor.fetchone()
        cursor.execute(_LOWER, {"position": position})
        shards = cursor.rowcount
        if shards:
            record_intervention("rescan", actor=actor, reason=reason, before=str(before), after=str(position))
        transaction.set_rollback(dry_run)
    return Rescan(position, shards)
