"""Findings without the gateway's ledger: attempts, refunds, captures and authorizations that staff must look at."""

from collections.abc import Generator
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from payments.casebook import Finding, Kind, describe_failure
from payments.models import Attempt, Payment, Refund
from payments.reconciliation.ledger import Scope
from payments.settlement.claims import HOLD_MARGIN

#: An unfinished attempt that started longer ago than this opens a case.
STUCK_AFTER = timedelta(minutes=15)
#: The same limit for pending refunds: a bank may take several days.
PENDING_FOR = timedelta(days=10)

Status, Wanted = Payment.Status, Payment.Wanted


def find_stuck(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the attempts that have been unfinished for too long, of payments of any age."""
    stuck = Q(started_at__lt=Now() - STUCK_AFTER) & ~Q(refund__status=Refund.Status.pending)
    waiting = Attempt.objects.filter(stuck | Q(started_at__lt=Now() - PENDING_FOR), finished_at=None)
    for attempt in waiting.exclude(payment__wanted=Wanted.nothing).select_related("payment").iterator(1000):
        text = f"payment {attempt.payment_id} of order {attempt.payment.order_id} waits for its {attempt.operation}"
        yield Finding(Kind.stuck, attempt.payment_id, text, f": {attempt.outcome}"[:302] if attempt.outcome else "")


def find_failed_captures(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the payments whose capture failed, of any age, until staff have acted and the gateway has answered."""
    failed = Payment.objects.filter(status=Status.failed)
    for payment in failed.iterator(1000):
        text = describe_failure(payment.pk, payment.order_id)
        yield Finding(Kind.capture_failed, payment.pk, text, f" ({payment.reason})")


def find_expiring(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the payments whose authorization ends within HOLD_MARGIN or has ended, of any age."""
    hold = timedelta(days=settings.PAYMENT_HOLD_DAYS)
    for payment in Payment.objects.filter(status=Status.authorized, created_at__lt=Now() - hold + HOLD_MARGIN):
        text = (
            f"payment {payment.pk} of order {payment.order_id} is not captured, and its authorization ends at"
            f" {payment.created_at + hold:%Y-%m-%d %H:%M} UTC"
        )
        yield Finding(Kind.expiring, payment.pk, text)


def find_declined_refunds(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the declined refunds that were created or finished within `scope`."""
    declined = Refund.objects.filter(status=Refund.Status.declined)
    if scope.since:
        declined = declined.filter(Q(created_at__gte=scope.since) | Q(finished_at__gte=scope.since))
    for refund in declined.select_related("payment").iterator(1000):
        text = f"refund {refund.number} of {refund.amount} {refund.payment.currency} was declined: {refund.answer}"
        yield Finding(Kind.refund_declined, refund.payment_id, text)
