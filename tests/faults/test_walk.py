"""Relays with random faults in random order skip no row and keep each key in order."""

import os

import pytest

from relay.operations import cluster
from tests.faults.checker import find_lost_or_inverted, read_committed
from tests.faults.parcels import ParcelMoved
from tests.faults.walk import Walk

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("parts", "parcels")]

SEED = int(os.environ["SEED"])
WALKS = 60 if os.environ.get("FAULTS") == "all" else 2
STEPS = 700
HURRIED = {
    "relay.forwarder.lease.RENEW_SECONDS": 0.03,
    "relay.forwarder.lease.WAITING_SECONDS": 0.01,
    "relay.forwarder.reader.STABLE_SECONDS": 0.005,
    "relay.forwarder.reader.IDLE_READ_SECONDS": 0.002,
    "relay.forwarder.queues.SLOW_SECONDS": 0.02,
    "relay.forwarder.queues.SHORTEST_PAUSE": 0.01,
    "relay.forwarder.queues.LONGEST_PAUSE": 0.05,
    "relay.forwarder.forwarder.DELIVERY_TIMEOUT_SECONDS": 0.04,
}
# Small values let the walk reach each limit of a read, a batch and the buffer.
CRAMPED = {
    "relay.forwarder.reader.READ_ROWS": 8,
    "relay.forwarder.buffer.READ_ROWS": 8,
    "relay.forwarder.reader.SPAN": 40,
    "relay.forwarder.buffer.BUFFER_ROWS": 30,
    "relay.forwarder.queues.BATCH_ROWS": 5,
    "relay.forwarder.marker.MARK_ROWS": 4,
}


@pytest.mark.parametrize("seed", range(SEED, SEED + WALKS))
def test_every_row_is_published_in_order_after_random_faults(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (HURRIED | (CRAMPED if seed % 2 else {})).items():
        monkeypatch.setattr(name, value)
    ParcelMoved.topic = f"test.parcels-walk-{seed}-{os.urandom(3).hex()}"
    cluster.create_topics([ParcelMoved.topic])
    walk = Walk(seed, monkeypatch)
    try:
        walk.take(STEPS)
        walk.end()
    finally:
        walk.close()
    assert find_lost_or_inverted(read_committed(ParcelMoved.topic), ParcelMoved.topic) == []
