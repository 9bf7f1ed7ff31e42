"""Helpers for tests with dead workers, expired claims and late calls."""

import time
from datetime import timedelta

from django.db import connections
from django.db.models.functions import Now

from payments.models import Payment
from payments.settlement import calls


class Killed(BaseException):
    """A stand-in for `kill -9`: no code of the worker runs after it."""


def die(*args: object) -> None:
    raise Killed


def let_claims_expire() -> None:
    """Set the end of all claims and the due times to the past."""
    past = Now() - timedelta(seconds=1)
    Payment.objects.update(claimed_until=past, due_at=past)


def settle_in_thread(_: object = None) -> None:
    """Settle due payments once and close the thread's connections, as a worker's thread does."""
    try:
        calls.settle_due_payments()
    finally:
        connections.close_all()


def wait_for_late_calls() -> None:
    deadline = time.monotonic() + 60
    while calls._late:
        assert time.monotonic() < deadline
        time.sleep(0.01)
