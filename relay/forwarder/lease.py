"""Which shards of the keys this relay may forward. The database's clock decides when a lease ends.

The epoch of a shard grows with every change of owner, so a relay that slept through its lease can mark nothing.
"""

import math
import time
from collections.abc import Collection, Sequence

from django.db.backends.utils import CursorWrapper

from relay.conf import configuration
from relay.database import connection, transaction
from relay.models import SHARDS

# Nothing is sent later than this after a renewal: it has ended (DELIVERY_TIMEOUT_SECONDS) before the lease does.
RENEW_SECONDS = 1.0
WAITING_SECONDS = 0.25

_CREATE = """
insert into relay_shardlease (shard, owner, epoch, until, low_mark)
select shard, '', 0, to_timestamp(0), 0 from generate_series(0, %s) shard on conflict do nothing
"""
_JOIN = """
insert into relay_relaymember (owner, until) values (%s, clock_timestamp() + make_interval(secs => %s))
on conflict (owner) do update set until = excluded.until
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
_RELEASE = "update relay_shardlease set owner = '', until = to_timestamp(0) where owner = %s and shard = any(%s)"
_LEAVE = """
with released as (update relay_shardlease set owner = '', until = to_timestamp(0) where owner = %(owner)s)
delete from relay_relaymember where owner = %(owner)s or until < clock_timestamp() - interval '1 hour'
"""


def read_lease_seconds() -> float:
    """Return RELAY["LEASE_SECONDS"]: the seconds for which a relay holds its shards after a renewal."""
    return configuration().lease_seconds


class LeaseLost(Exception):
    """Another relay has taken over. The rows stay unpublished: the new owner sends them again."""


class ShardLeases:
    """The shards that `owner` holds: a fair share of all, one relay's part among those that are alive."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.epochs: dict[int, int] = {}
        self.leaving: set[int] = set()
        # The position of every refused row by topic and key; nothing of these keys is sent.
        self.refused: dict[tuple[bytes, bytes], int] = {}
        self._marks: dict[int, int] = {}
        self._renew_at = -math.inf

    @property
    def working(self) -> list[int]:
        """The shards whose rows may be read and sent: those held and not about to be given away."""
        return sorted(self.epochs.keys() - self.leaving)

    @property
    def is_due(self) -> bool:
        """Whether it is time to renew."""
        return time.monotonic() >= self._renew_at

    def renew(self, low_mark: int) -> int | None:
        """Renew, take what is free up to our share, and choose what to give away (`leaving`).

        `low_mark`: everything of the `working` shards up to this position is published or waits behind a refused row.
        Returns the position from which rows must be read again, if any: a shard is new among the `working`, or a
        refused row was redriven, which lowers its shard's mark (a trigger on relay_outbox).

        :raises LeaseLost: a shard that was ours is not ours any more, or was not for a while.
        """
        began = time.monotonic()
        read, seconds = self.working, read_lease_seconds()
        with transaction.atomic(), connection.cursor() as cursor:
            if not self.epochs:
                cursor.execute(_CREATE, [SHARDS - 1])
            cursor.execute(_JOIN, [self.owner, seconds])
            cursor.execute(_LOCK, [self.owner])
            held = cursor.fetchall()
            # After the lock: the trigger of a redrive waits for it, or has lowered the mark before it.
            refused = _read_refused(cursor)
            lowered = [mark for shard, _, mark in held if mark < self._marks.get(shard, 0)]
            lowered += [position - 1 for key, position in self.refused.items() if key not in refused]
            low_mark = min([low_mark, *lowered])
            cursor.execute(_RENEW, {"owner": self.owner, "seconds": seconds, "mark": low_mark, "read": read})
            cursor.execute(_COUNT)
            share = math.ceil(SHARDS / cursor.fetchone()[0])
            if len(held) < share:
                cursor.execute(_TAKE, {"owner": self.owner, "seconds": seconds, "count": share - len(held)})
                held += cursor.fetchall()
        self._check(held)
        self.refused = refused
        self.epochs = {shard: epoch for shard, epoch, _ in held}
        self.leaving = set(sorted(self.epochs)[share:])
        self._marks = {shard: max(mark, low_mark) if shard in read else mark for shard, _, mark in held}
        self._renew_at = began + (RENEW_SECONDS if len(held) >= share else WAITING_SECONDS)
        return min([*lowered, *(self._marks[shard] for shard in self.working if shard not in read)], default=None)

    def _check(self, held: Sequence[tuple[int, int, int]]) -> None:
        lost = self.epochs.items() - {(shard, epoch) for shard, epoch, _ in held}
        if lost:
            raise LeaseLost(f"{self.owner} no longer holds {len(lost)} of its shards")

    def forget(self) -> None:
        """Know nothing until the next renewal. What is ours in the database stays ours."""
        self.epochs, self.leaving, self.refused, self._marks = {}, set(), {}, {}
        self._renew_at = -math.inf

    def release(self, shards: Collection[int]) -> None:
        """Give `shards` away at once. Nothing of them may be under way."""
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [self.owner, list(shards)])
        for shard in list(shards):
            self.epochs.pop(shard, None)
            self.leaving.discard(shard)

    def leave(self) -> None:
        """Release everything, what was forgotten too, so that another relay need not wait for it to run out."""
        with connection.cursor() as cursor:
            cursor.execute(_LEAVE, {"owner": self.owner})
        self.forget()


def _read_refused(cursor: CursorWrapper) -> dict[tuple[bytes, bytes], int]:
    cursor.execute(_REFUSED)
    return {(topic.encode(), key.encode()): position for topic, key, position in cursor.fetchall()}
