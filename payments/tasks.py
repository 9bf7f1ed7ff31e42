"""Celery tasks of payments. A lost or duplicate task does no harm, because the work is stored in the payments' rows."""

from celery import shared_task

from payments.reconciliation import cases
from payments.settlement.calls import settle_due_payments
from shop.workqueue.doorbell import ring
from shop.workqueue.shift import Shift

_shift = Shift(workers=2)


@shared_task  # type: ignore[untyped-decorator]
def settle_payments() -> None:
    """Settle due payments until none is due. Celery beat rings too, in case a ring is lost or a worker dies."""
    if not _shift.work(settle_due_payments):
        ring(settle_payments)


@shared_task  # type: ignore[untyped-decorator]
def reconcile_payments() -> None:
    """Compare the payments with the gateway's ledger and open cases."""
    cases.reconcile_regularly()
