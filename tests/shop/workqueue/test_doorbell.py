"""The doorbell never blocks a transaction, whether Celery's broker answers, is down or hangs."""

import itertools
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import transaction

from payments.models import Payment
from payments.tasks import settle_payments
from shop.celery import app
from shop.workqueue import doorbell
from shop.workqueue.doorbell import ring
from shop.workqueue.shift import Shift

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker_away(real_doorbell: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set Celery's broker to an address without a server."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
    yield from use_broker(address, monkeypatch)


@pytest.fixture
def broker_frozen(real_doorbell: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set Celery's broker to a server that accepts connections, but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield from use_broker(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", monkeypatch)


def use_broker(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(app.conf, "broker_url", address)
    monkeypatch.setattr(app.conf, "broker_write_url", address)
    app.amqp._producer_pool = app._pool = None
    yield
    app.amqp._producer_pool = app._pool = None


def test_with_the_broker_away_a_handler_commits_quickly_and_the_periodic_ring_settles_later(
    broker_away: None, place: Any, books: Any
) -> None:
    place()  # the first ring loads Celery's transport
    doorbell._quiet_until = 0.0
    started = time.monotonic()
    for _ in range(20):
        place()
    assert time.monotonic() - started < 1.0
    assert books() == []
    settle_payments()  # beat runs this task periodically
    assert set(Payment.objects.values_list("status", flat=True)) == {"authorized"}
    assert books() == [("authorize", "approved", 4999)] * 21


def test_a_frozen_broker_holds_up_a_batch_once(broker_frozen: None, place: Any) -> None:
    started = time.monotonic()
    for _ in range(5):
        place()
    assert time.monotonic() - started < 3.0


def test_the_doorbell_rings_again_after_its_quiet_time(broker_away: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    delay = settle_payments.delay

    def note_and_delay() -> None:
        tried.append(len(tried))
        delay()

    monkeypatch.setattr(settle_payments, "delay", note_and_delay)
    ring(settle_payments)
    ring(settle_payments)
    assert len(tried) == 1
    monkeypatch.setattr(doorbell, "QUIET_SECONDS", 0.0)
    doorbell._quiet_until = 0.0
    ring(settle_payments)
    ring(settle_payments)
    assert len(tried) == 3


def test_a_process_that_has_just_rung_does_not_ring_again(real_doorbell: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker of the first ring polls again after the quiet time."""
    tried: list[str] = []
    monkeypatch.setattr(settle_payments, "delay", lambda: tried.append("settle_payments"))
    ring(settle_payments)
    ring(settle_payments)
    assert tried == ["settle_payments"]
    monkeypatch.setattr(doorbell, "QUIET_AFTER_RING_SECONDS", 0.0)
    ring(settle_payments)
    assert tried == ["settle_payments"] * 2


def test_a_worker_polls_for_longer_than_the_quiet_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stays, looks = Shift(workers=1, pace_seconds=0.01), list[float]()
    monkeypatch.setattr("shop.workqueue.shift.LINGER_SECONDS", 0.5)

    def take() -> int:
        looks.append(time.monotonic())
        return 1 if len(looks) == 1 else 0

    assert stays.work(take)
    assert looks[-1] - looks[0] > 0.45
    assert max(later - sooner for sooner, later in itertools.pairwise(looks)) < 0.4


def test_while_one_thread_waits_for_rows_another_ring_takes_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    shift, second = Shift(workers=2, pace_seconds=0.01), list[int]()

    def take() -> int:
        second.append(1)
        return 0

    monkeypatch.setattr("shop.workqueue.shift.LINGER_SECONDS", 0.3)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(shift.work, lambda: 0)
        time.sleep(0.1)
        assert shift.work(take)
        assert first.result(60)
    assert len(second) <= 1, "at most one poll, if the first thread was polling itself"


def test_a_rolled_back_transaction_does_not_ring(place: Any, rung: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        place()
        raise ZeroDivisionError
    assert rung == []
