"""Kafka, PostgreSQL, Valkey and Celery are killed while orders arrive. See also test_crash_points.py."""

import time

import pytest

from tests.client import OrderStream
from tests.faults.counting import assert_nothing_lost
from tests.running_shop import RunningShop

SIGKILLED = -9
END_CLAIMS = """
from django.utils.timezone import now
from notifications.models import Message
from payments.models import Payment
for model in (Payment, Message):
    model.objects.exclude(claimed_until=None).update(claimed_until=None, due_at=now())
"""


def test_celery_is_killed_between_the_charge_and_its_record(running_shop: RunningShop, stream: OrderStream) -> None:
    with stream:
        running_shop.part_stop("celery")
        worker = ["celery", "worker", "--pool", "threads", "--concurrency", "4", "--loglevel", "WARNING"]
        assert running_shop.run(*worker, point="gateway.charged", timeout=60).returncode == SIGKILLED
        # The claims of the dead worker would last half a minute, so the test ends them.
        assert running_shop.manage("shell", "--no-imports", "-c", END_CLAIMS).returncode == 0
        running_shop.part_start("celery")
        time.sleep(1)
    assert_nothing_lost(running_shop, stream)


@pytest.mark.parametrize("part", ["kafka", "postgres", "valkey"])
def test_a_killed_service_loses_no_order(running_shop: RunningShop, stream: OrderStream, part: str) -> None:
    with stream:
        time.sleep(1)
        running_shop.part_kill(part)
        time.sleep(4)
    if part == "postgres":
        assert stream.retries > 0  # otherwise PostgreSQL was not really away
    assert_nothing_lost(running_shop, stream)
