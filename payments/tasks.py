"""What Celery runs for payments. Lost, repeated or doubled, a task does no harm: the payments' rows say what to do."""

from celery import shared_task

from payments.reconciliation import cases
from payments.settlement.calls import settle_due_payments
from shop.workqueue.doorbell import ring
from shop.workqueue.shift import Shift

_shift = Shift(workers=2)


@shared_task  # type: ignore[untyped-decorator]
def settle_payments() -> None:
    """Ask the gateway for what is due, until nothing is. Beat rings, too: a ring may be lost, or a worker die."""
    if not _shift.work(settle_due_payments):
        ring(settle_payments)


@shared_task  # type: ignore[untyped-decorator]
def reconcile_payments() -> None:
    """Compare the payments with the gateway's ledger and open cases."""
    cases.reconcile_regularly()
