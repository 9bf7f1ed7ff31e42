"""Shard leases: the shards that a relay may forward. The database's clock decides when a lease ends.

The epoch of a shard increases with each change of owner, so a former owner can't mark rows.
"""

import logging
import math
import time
from collections.abc import Collection, Sequence

from django.db.backends.utils import CursorWrapper

from relay.conf import configuration
from relay.database import connection, transaction
from relay.models import SHARDS

logger = logging.getLogger(__name__)

# A relay sends only within this time after a renewal. A delivery (DELIVERY_TIMEOUT_SECONDS) then ends before the lease.
RENEW_SECONDS = 1.0
# The renewal interval while this relay holds fewer shards than its share.
WAITING_SECONDS = 0.25
# A lease that ends later than this number of lease times shows that the database's clock went back. It is above 1,
# because during a change of RELAY["LEASE_SECONDS"] another relay may use a longer time.
LONGEST = 2

_CREATE = """
insert into relay_shardlease (shard, owner, epoch, until, low_mark)
select shard, '', 0, to_timestamp(0), 0 from generate_series(0, %s) shard on conflict do nothing
"""
# A lease or membership that ends later than its lease time from now shows that the database's clock went back. It is
# shortened, because a dead relay would keep its shards and its share until then. A live relay renews within a second.
_JOIN = """
with leases as (
    update relay_shardlease lease set until = clock_timestamp() + make_interval(secs => %(seconds)s)
    from (select shard from relay_shardlease
          where owner <> %(owner)s and until > clock_timestamp() + make_interval(secs => %(longest)s)
          order by shard for update skip locked) late
    where lease.shard = late.shard
    returning lease.shard
), members as (
    update relay_relaymember member set until = clock_timestamp() + make_interval(secs => %(seconds)s)
    from (select owner from relay_relaymember
          where owner <> %(owner)s and until > clock_timestamp() + make_interval(secs => %(longest)s)
          order by owner for update skip locked) late
    where member.owner = late.owner
)
insert into relay_relaymember (owner, until)
values (%(owner)s, clock_timestamp() + make_interval(secs => %(seconds)s))
on conflict (owner) do update set until = excluded.until
returning (select count(*) from leases)
"""
_LOCK = "select shard, epoch, low_mark from relay_shardlease where owner = %s order by shard for update"
_REFUSED = "select topic, key, position from relay_outbox where refused_reason is not null"
_RENEW = """
update relay_shardlease set until = clock_timestamp() + make_interval(secs => %(seconds)s),
    low_mark = case when shard = any(%(read)s) then greatest(low_mark, %(mark)s) else low_mark end
where owner = %(owner)s
"""
_COUNT = "select count(*) from relay_relaymember where until > clock_timestamp()"
_TAKE = """
update relay_shardlease set owner = %(owner)s, epoch = epoch + 1,
    until = clock_timestamp() + make_interval(secs => %(seconds)s)
where shard in (select shard from relay_shardlease where until < clock_timestamp()
                order by shard limit %(count)s for update skip locked)
returning shard, epoch, low_mark
"""
# Everyone locks the rows of leases in the order of their shards. Otherwise two of them could wait for each other.
_RELEASE = """
with mine as (select shard from relay_shardlease where owner = %s and shard = any(%s) order by shard for update)
update relay_shardlease lease set owner = '', until = to_timestamp(0) from mine where lease.shard = mine.shard
"""
_LEAVE = """
with mine as (select shard from relay_shardlease where owner = %(owner)s order by shard for update),
released as (update relay_shardlease lease set owner = '', until = to_timestamp(0) from mine
             where lease.shard = mine.shard),
gone as (select owner from relay_relaymember
         where owner = %(owner)s or until < clock_timestamp() - interval '1 hour' order by owner for update)
delete from relay_relaymember member using gone where member.owner = gone.owner
"""


def read_lease_seconds() -> float:
    """Return RELAY["LEASE_SECONDS"]: the seconds for which a relay holds its shards after a renewal."""
    return configuration().lease_seconds


class LeaseLost(Exception):
    """Another relay has taken over a shard. Its rows stay unpublished, and the new owner sends them again."""


class ShardLeases:
    """The shards that `owner` holds: an equal share among the relays that are alive."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.epochs: dict[int, int] = {}
        self.leaving: set[int] = set()
        # The position of each refused row by topic and key. Rows of these keys are not sent.
        self.refused: dict[tuple[bytes, bytes], int] = {}
        self._watermarks: dict[int, int] = {}
        self._renew_at = -math.inf

    @property
    def working(self) -> list[int]:
        """The shards whose rows may be read and sent: all held shards except those in `leaving`, sorted."""
        return sorted(self.epochs.keys() - self.leaving)

    @property
    def is_due(self) -> bool:
        """Whether the next renewal is due."""
        return time.monotonic() >= self._renew_at

    def renew(self, low_watermark: int) -> int | None:
        """Renew the leases, take free shards up to this relay's share, and choose the shards to release (`leaving`).

        Returns the position from which rows must be read again, or None. Rows must be read again if a shard is new in
        `working`, or if a refused row was redriven. A trigger on relay_outbox then lowers the mark of its shard.

        :param low_mark: the low watermark of the `working` shards: all rows up to this position are published or wait
            behind a refused row.
        :raises LeaseLost: another relay owns a shard of this relay, or owned it in the meantime.
        """
        began = time.monotonic()
        read, seconds = self.working, read_lease_seconds()
        with transaction.atomic(), connection.cursor() as cursor:
            if not self.epochs:
                cursor.execute(_CREATE, [SHARDS - 1])
            cursor.execute(_JOIN, {"owner": self.owner, "seconds": seconds, "longest": LONGEST * seconds})
            (late,) = cursor.fetchone()
            cursor.execute(_LOCK, [self.owner])
            held = cursor.fetchall()
            # Read after the lock: the trigger of a redrive waits for the lock, or has lowered the watermark before.
            refused = _read_refused(cursor)
            lowered = [watermark for shard, _, watermark in held if watermark < self._watermarks.get(shard, 0)]
            lowered += [position - 1 for key, position in self.refused.items() if key not in refused]
            low_watermark = min([low_watermark, *lowered])
            cursor.execute(_RENEW, {"owner": self.owner, "seconds": seconds, "mark": low_watermark, "read": read})
            cursor.execute(_COUNT)
            share = math.ceil(SHARDS / cursor.fetchone()[0])
            if len(held) < share:
                cursor.execute(_TAKE, {"owner": self.owner, "seconds": seconds, "count": share - len(held)})
                held += cursor.fetchall()
        if late:
            logger.warning("the clock of the database went back: shortened leases", extra={"shards": late})
        self._check(held)
        self.refused = refused
        self.epochs = {shard: epoch for shard, epoch, _ in held}
        self.leaving = set(sorted(self.epochs)[share:])
        self._watermarks = {
            shard: max(watermark, low_watermark) if shard in read else watermark for shard, _, watermark in held
        }
        self._renew_at = began + (RENEW_SECONDS if len(held) >= share else WAITING_SECONDS)
        return min([*lowered, *(self._watermarks[shard] for shard in self.working if shard not in read)], default=None)

    def _check(self, held: Sequence[tuple[int, int, int]]) -> None:
        lost = self.epochs.items() - {(shard, epoch) for shard, epoch, _ in held}
        if lost:
            raise LeaseLost(f"{self.owner} no longer holds {len(lost)} of its shards")

    def forget(self) -> None:
        """Forget all shards until the next renewal. The leases in the database remain."""
        self.epochs, self.leaving, self.refused, self._watermarks = {}, set(), {}, {}
        self._renew_at = -math.inf

    def release(self, shards: Collection[int]) -> None:
        """End the leases of `shards` at once. No row of `shards` may be in flight."""
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [self.owner, list(shards)])
        for shard in list(shards):
            self.epochs.pop(shard, None)
            self.leaving.discard(shard)

    def leave(self) -> None:
        """End all leases of this owner, forgotten ones too, so that other relays need not wait for their end."""
        with connection.cursor() as cursor:
            cursor.execute(_LEAVE, {"owner": self.owner})
        self.forget()


def _read_refused(cursor: CursorWrapper) -> dict[tuple[bytes, bytes], int]:
    cursor.execute(_REFUSED)
    return {(topic.encode(), key.encode()): position for topic, key, position in cursor.fetchall()}
