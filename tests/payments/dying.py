"""Workers that die, claims that end, and calls that take their time."""

import time
from datetime import timedelta

from django.db import connections
from django.db.models.functions import Now

from payments.models import Payment
from payments.settlement import calls


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs."""


def die(*args: object) -> None:
    raise Killed


def let_claims_expire() -> None:
    """What half a minute would do."""
    past = Now() - timedelta(seconds=1)
    Payment.objects.update(claimed_until=past, due_at=past)


def settle_in_thread(_: object = None) -> None:
    """What a worker's thread does for one ring."""
    try:
        calls.settle_due_payments()
    finally:
        connections.close_all()


def wait_for_late_calls() -> None:
    deadline = time.monotonic() + 10
    while calls._late:
        assert time.monotonic() < deadline
        time.sleep(0.01)
