"""What payments and the gateway's books disagree about is a case: opened once, closed when it is gone, or by staff."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.db import transaction
from django.db.models.functions import Now

from payments.models import Attempt, Case, Refund
from payments.verification import Difference, find_differences

#: The gateway was asked for the first time so long ago, and the payment still wants it: somebody should look.
STUCK_AFTER = timedelta(minutes=15)

Kind = Case.Kind


@dataclass(frozen=True)
class Reconciliation:
    """The open cases, those of them that are new, and how many were closed because nothing differs any more."""

    open: list[Case]
    opened: int
    closed: int


def reconcile() -> Reconciliation:
    """Compare every payment with the gateway's ledger; open a case for each difference, and close those that are gone.

    :raises GatewayUnavailable: the ledger can't be read. Nothing is opened or closed.
    """
    found = {make_fingerprint(finding): finding for finding in find_everything()}
    with transaction.atomic():
        # Two reconciliations at once would both open what neither has seen.
        standing = {case.fingerprint: case for case in Case.objects.select_for_update().order_by("pk")}
        fresh = [make_case(fingerprint, *found[fingerprint]) for fingerprint in found.keys() - standing.keys()]
        Case.objects.bulk_create(fresh, ignore_conflicts=True)
        again = [case.pk for mark, case in standing.items() if mark in found and case.closed_at and is_lasting(case)]
        Case.objects.filter(pk__in=again).update(closed_at=None, closed_by="", note="")
        gone = [case.pk for mark, case in standing.items() if mark not in found and not case.closed_at]
        Case.objects.filter(pk__in=gone).update(closed_at=Now(), closed_by="reconcile_payments", note="gone")
        Case.objects.filter(fingerprint__in=found).update(last_seen_at=Now())
    return Reconciliation(list(Case.objects.filter(closed_at=None)), len(fresh) + len(again), len(gone))


def is_lasting(case: Case) -> bool:
    """Tell whether closing it by hand does not make it go away. A declined refund has been dealt with."""
    return case.kind != Kind.refund_declined


def find_everything() -> Iterator[tuple[Case.Kind, Difference]]:
    """Yield what differs, what is stuck, and the refunds that the gateway declined."""
    for difference in find_differences():
        yield Kind.differs if difference.payment_id else Kind.unknown_entry, difference
    waiting = Attempt.objects.filter(finished_at=None, started_at__lt=Now() - STUCK_AFTER).exclude(
        payment__wanted="nothing"
    )
    for attempt in waiting.select_related("payment"):
        text = f"payment {attempt.payment_id} of order {attempt.payment.order_id} waits for its {attempt.operation}"
        yield Kind.stuck, Difference(attempt.payment_id, text)
    for refund in Refund.objects.filter(status=Refund.Status.declined).select_related("payment"):
        text = f"refund {refund.number} of {refund.amount} {refund.payment.currency} was declined: {refund.answer}"
        yield Kind.refund_declined, Difference(refund.payment_id, text)


def make_fingerprint(finding: tuple[Case.Kind, Difference]) -> str:
    """Return what makes a finding the same as one of an earlier day."""
    kind, difference = finding
    return sha256(f"{kind} {difference.payment_id} {difference.text}".encode()).hexdigest()


def make_case(fingerprint: str, kind: Case.Kind, difference: Difference) -> Case:
    """Return the case of a finding."""
    return Case(fingerprint=fingerprint, kind=kind, payment_id=difference.payment_id, description=difference.text)


def close_case(case_id: int, *, by: str, note: str) -> None:
    """Close an open case. It opens again when the next reconciliation finds the same difference."""
    Case.objects.filter(pk=case_id, closed_at=None).update(closed_at=Now(), closed_by=by, note=note[:500])
