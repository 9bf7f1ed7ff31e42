"""Leases: equal shares, immediate hand-over by a relay that stops, and hand-over after expiry by a killed relay."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from pytest_django.fixtures import Settings

from relay.forwarder.lease import LeaseLost, ShardLeases, read_lease_seconds
from relay.forwarder.marker import Marker
from relay.forwarder.reader import Row
from relay.models import SHARDS, RelayMember, ShardLease
from relay.operations.leases import read_holdings, read_members
from relay.operations.mend import redrive
from relay.operations.parked import RELAY, Selection
from relay.partitions import read_low_watermark
from tests.relay.forwarding import end_leases
from tests.relay.operated import wait_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


def test_relays_share_and_a_stopping_relay_hands_over_at_once() -> None:
    a, b, c = ShardLeases("a"), ShardLeases("b"), ShardLeases("c")
    assert a.renew(0) == 0 and len(a.working) == SHARDS
    b.renew(0)
    assert b.working == []
    a.renew(0)
    assert len(a.working) == len(a.leaving) == 8
    a.release(a.leaving)
    b.renew(0)
    c.renew(0)
    for relay in (a, b):
        relay.renew(0)
        relay.release(relay.leaving)
    c.renew(0)
    assert sorted(len(relay.working) for relay in (a, b, c)) == [4, 6, 6]
    assert sorted(a.working + b.working + c.working) == list(range(SHARDS))
    a.leave()
    b.renew(0)
    c.renew(0)
    assert sorted(b.working + c.working) == list(range(SHARDS))
    assert set(RelayMember.objects.values_list("owner", flat=True)) == {"b", "c"}


def test_a_killed_relay_is_replaced_and_notices_it_when_it_wakes_up() -> None:
    killed, other = ShardLeases("killed"), ShardLeases("other")
    killed.renew(0)
    other.renew(0)
    assert other.working == []
    end_leases("killed")
    other.renew(0)
    assert len(other.working) == SHARDS
    with pytest.raises(LeaseLost):
        killed.renew(100)
    assert read_low_watermark() == 0


def test_a_database_clock_that_went_back_does_not_keep_the_shards_of_a_dead_relay() -> None:
    """After the clock went back by an hour, the leases end an hour too late."""
    dead, live, other = ShardLeases("dead"), ShardLeases("live"), ShardLeases("other")
    dead.renew(0)
    live.renew(0)
    dead.release(range(8))
    live.renew(0)
    hour = timedelta(hours=1)
    ShardLease.objects.update(until=F("until") + hour)
    RelayMember.objects.update(until=F("until") + hour)

    other.renew(0)
    assert other.working == []  # a dead relay gets its full lease time, because it could still be alive
    remaining = [holding.remaining_seconds for holding in read_holdings()]
    assert max(remaining) <= read_lease_seconds()
    assert max(member.remaining_seconds for member in read_members()) <= read_lease_seconds()
    live.renew(0)
    assert len(live.epochs) == 8
    end_leases("dead")
    other.renew(0)
    assert len(other.working) == 8


def test_a_longer_lease_time_of_another_relay_is_left_alone(settings: Settings) -> None:
    settings.RELAY = {**settings.RELAY, "LEASE_SECONDS": 14}
    ShardLeases("longer").renew(0)
    settings.RELAY = {**settings.RELAY, "LEASE_SECONDS": 8}
    ShardLeases("shorter").renew(0)
    assert min(holding.remaining_seconds for holding in read_holdings()) > 10


def test_a_relay_that_stops_after_an_error_releases_forgotten_leases_too() -> None:
    stopped, other = ShardLeases("stopped"), ShardLeases("other")
    stopped.renew(0)
    stopped.forget()
    assert stopped.working == [] and stopped.is_due
    stopped.leave()
    other.renew(0)
    assert len(other.working) == SHARDS


def test_the_low_mark_is_raised_only_for_shards_that_were_read() -> None:
    a, b = ShardLeases("a"), ShardLeases("b")
    a.renew(0)
    assert a.renew(100) is None
    assert read_low_watermark() == 100
    b.renew(0)
    a.renew(200)  # learns that half of its shards must be released; rows that it has read before count
    a.renew(300)
    assert set(ShardLease.objects.filter(shard__in=a.leaving).values_list("low_mark", flat=True)) == {200}
    a.release(a.leaving)
    assert b.renew(0) == 200


def test_a_lowered_mark_makes_the_relay_read_again() -> None:
    relay = ShardLeases("a")
    relay.renew(0)
    relay.renew(500)
    ShardLease.objects.filter(shard=3).update(low_mark=41)
    assert relay.renew(600) == 41
    assert relay.renew(600) is None
    assert read_low_watermark() == 600


def change_leases(statement: str) -> None:
    """Lock the leases of the relay "a" by one of the ways to change them."""
    leases = ShardLeases("a")
    leases.epochs = dict.fromkeys(range(SHARDS), 1)
    if statement == "release":
        leases.release(range(SHARDS))
    elif statement == "leave":
        leases.leave()
    elif statement == "mark":
        texts = dict.fromkeys(set(Row._fields) - {"position", "key_hash", "created_at"}, b"x")
        rows = [Row(position=SHARDS - shard, key_hash=shard, created_at=0.0, **texts) for shard in range(SHARDS)]
        marker = Marker(leases)
        marker.add(rows)
        marker.mark_all()
    else:
        redrive(Selection(RELAY), actor="eve")


@pytest.mark.parametrize("statement", ["release", "leave", "mark", "redrive"])
def test_leases_are_locked_in_the_order_of_the_shards(statement: str) -> None:
    """The first shard is locked by another transaction, so a statement that waits must not have locked a later one."""
    with connection.cursor() as cursor:
        # PostgreSQL reads the rows in the order in which they are stored, if no order is requested.
        cursor.execute(
            "insert into relay_shardlease (shard, owner, epoch, until, low_mark)"
            " select shard, 'a', 1, now(), 99 from generate_series(15, 0, -1) shard"
        )
        for shard in reversed(range(SHARDS)):
            cursor.execute(
                "insert into relay_outbox (position, topic, key, key_hash, sequence, event_id, type, occurred_at, body,"
                " refused_reason) values (%s, 't', %s, %s, 1, gen_random_uuid(), 'T.v1', now(), '{}', %s)",
                [SHARDS - shard, str(shard), shard, "too large" if statement == "redrive" else None],
            )

    def work() -> None:
        try:
            change_leases(statement)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select from relay_shardlease where shard = 0 for update")
            changing = pool.submit(work)
            wait_for_a_lock(changing)
            cursor.execute("select from relay_shardlease where shard > 0 order by shard for update nowait")
        changing.result(20)
