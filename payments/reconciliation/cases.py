"""What payments and the gateway's books disagree about is a case: opened once, closed when it is gone, or by staff."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from payments.gateways.protocol import GatewayUnavailable
from payments.models import Attempt, Case, ReconcilingTurn, Refund
from payments.reconciliation.comparison import WINDOW_DAYS, Difference, find_differences
from payments.reconciliation.ledger import Scope, TookTooLong, make_scope

logger = logging.getLogger(__name__)

#: The gateway was asked for the first time so long ago, and the payment still wants it: somebody should look.
STUCK_AFTER = timedelta(minutes=15)
#: So long a bank may take for a refund.
PENDING_FOR = timedelta(days=10)
#: What beat compares every hour, and once a day WINDOW_DAYS.
RECENT_DAYS = 3
THOROUGH_EVERY = timedelta(days=1)
#: Less than the ten minutes after which Celery's broker hands an unfinished task to another worker.
TASK_SECONDS = 480
COMMAND_SECONDS = 3600
#: When there are more of a kind, something is wrong with all of them: nobody needs a case for each.
MOST_CASES = 1000

Kind = Case.Kind
Finding = tuple[Case.Kind, Difference]

_TAKE_TURN = """
insert into payments_reconcilingturn as turn (id, until, thorough_at)
values (1, clock_timestamp() + make_interval(secs => %s), 'epoch')
on conflict (id) do update set until = excluded.until where turn.until < clock_timestamp()
returning until
"""


class AlreadyReconciling(Exception):
    """Another process compares payments with the gateway's ledger now."""


@dataclass(frozen=True)
class Reconciliation:
    """The open cases, those of them that are new, and how many were closed because nothing differs any more."""

    open: list[Case]
    opened: int
    closed: int


def reconcile_regularly() -> None:
    """Reconcile the last days, and once a day WINDOW_DAYS; leave it to whoever is at it already."""
    try:
        with take_turn(TASK_SECONDS) as until:
            found = compare_and_record(find_due_days(), TASK_SECONDS, until)
    except (AlreadyReconciling, GatewayUnavailable) as error:
        logger.warning("payments not reconciled", extra={"why": f"{type(error).__name__}: {error}"})
        return
    logger.info("payments reconciled", extra={"opened": found.opened, "closed": found.closed, "open": len(found.open)})


def reconcile(days: int | None = WINDOW_DAYS, seconds: float = COMMAND_SECONDS) -> Reconciliation:
    """Compare the payments of `days` (None: all) with the gateway's ledger; open a case for each difference.

    Cases whose differences are gone are closed.

    :raises GatewayUnavailable: the ledger can't be read, or not within `seconds`. Nothing is opened or closed.
    :raises AlreadyReconciling: somebody else is at it.
    """
    with take_turn(seconds) as until:
        return compare_and_record(days, seconds, until)


@contextmanager
def take_turn(seconds: float) -> Iterator[datetime]:
    """Be the only one who reconciles until the turn is given back, or ends after `seconds`, which is told.

    :raises AlreadyReconciling: another turn has not ended.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN, [seconds])
        row = cursor.fetchone()
    if row is None:
        raise AlreadyReconciling("somebody else compares the payments with the gateway's ledger at the moment")
    try:
        yield row[0]
    finally:
        ReconcilingTurn.objects.filter(until=row[0]).update(until=Now())


def find_due_days() -> int:
    """Return how many days are to be compared now. A thorough comparison that fails is not tried again every hour."""
    due = ReconcilingTurn.objects.filter(thorough_at__lt=Now() - THOROUGH_EVERY)
    return WINDOW_DAYS if due.update(thorough_at=Now()) else RECENT_DAYS


def compare_and_record(days: int | None, seconds: float, until: datetime) -> Reconciliation:
    """Do what :func:`reconcile` does, within the turn that ends at `until`."""
    scope = make_scope(days, seconds)
    found: dict[str, Finding] = {}
    is_complete = True
    for find in (find_stuck, find_declined_refunds, find_differing):
        with closing(find(scope)) as findings:
            some = list(islice(findings, MOST_CASES))
        found |= {make_fingerprint(finding): finding for finding in some}
        is_complete &= len(some) < MOST_CASES
    with transaction.atomic():
        # Who slept past the end of the turn would open or close what the next one has found to be otherwise.
        if not ReconcilingTurn.objects.select_for_update().filter(until=until, until__gt=Now()).exists():
            raise TookTooLong("the turn to reconcile has ended meanwhile")
        known = (
            Case.objects.select_for_update(of=("self",))
            .filter(Q(closed_at=None) | Q(fingerprint__in=found))
            .order_by("pk")
        )
        standing = {case.fingerprint: case for case in known.select_related("payment")}
        fresh = [make_case(fingerprint, *found[fingerprint]) for fingerprint in found.keys() - standing.keys()]
        Case.objects.bulk_create(fresh, ignore_conflicts=True)
        again = [
            case.pk
            for fingerprint, case in standing.items()
            if fingerprint in found and case.closed_at and is_lasting(case)
        ]
        Case.objects.filter(pk__in=again).update(closed_at=None, closed_by="", note="")
        gone = [
            case.pk
            for fingerprint, case in standing.items()
            if fingerprint not in found and is_over(case, scope) and is_complete
        ]
        Case.objects.filter(pk__in=gone).update(closed_at=Now(), closed_by="reconcile_payments", note="gone")
        Case.objects.filter(fingerprint__in=found).update(last_seen_at=Now())
    return Reconciliation(list(Case.objects.filter(closed_at=None)), len(fresh) + len(again), len(gone))


def is_lasting(case: Case) -> bool:
    """Tell whether closing it by hand does not make it go away. A declined refund has been dealt with."""
    return case.kind != Kind.refund_declined


def is_over(case: Case, scope: Scope) -> bool:
    """Tell whether an open case that was not found in `scope` is over: it would have been, if it still were so."""
    if case.kind == Kind.stuck:
        return case.closed_at is None
    if case.closed_at or case.kind == Kind.refund_declined:
        return False
    if case.payment is None:
        return scope.since is None
    settled = case.payment.wanted == "nothing" and case.payment.updated_at < scope.began
    return settled and case.payment.pk >= scope.first_id


def find_stuck(scope: Scope) -> Generator[Finding, None, None]:
    """Yield what waits for too long, however old it is."""
    stuck = Q(started_at__lt=Now() - STUCK_AFTER) & ~Q(refund__status=Refund.Status.pending)
    waiting = Attempt.objects.filter(stuck | Q(started_at__lt=Now() - PENDING_FOR), finished_at=None)
    for attempt in waiting.exclude(payment__wanted="nothing").select_related("payment").iterator(1000):
        text = f"payment {attempt.payment_id} of order {attempt.payment.order_id} waits for its {attempt.operation}"
        yield Kind.stuck, Difference(attempt.payment_id, text)


def find_declined_refunds(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the refunds that the gateway declined lately."""
    declined = Refund.objects.filter(status=Refund.Status.declined)
    if scope.since:
        declined = declined.filter(Q(created_at__gte=scope.since) | Q(finished_at__gte=scope.since))
    for refund in declined.select_related("payment").iterator(1000):
        text = f"refund {refund.number} of {refund.amount} {refund.payment.currency} was declined: {refund.answer}"
        yield Kind.refund_declined, Difference(refund.payment_id, text)


def find_differing(scope: Scope) -> Generator[Finding, None, None]:
    """Yield what differs from the gateway's ledger."""
    for difference in find_differences(scope):
        yield Kind.differs if difference.payment_id else Kind.unknown_entry, difference


def make_fingerprint(finding: Finding) -> str:
    """Return what makes a finding the same as one of an earlier day."""
    kind, difference = finding
    return sha256(f"{kind} {difference.payment_id} {difference.text}".encode()).hexdigest()


def make_case(fingerprint: str, kind: Case.Kind, difference: Difference) -> Case:
    """Return the case of a finding."""
    return Case(fingerprint=fingerprint, kind=kind, payment_id=difference.payment_id, description=difference.text)


def close_case(case_id: int, *, by: str, note: str) -> None:
    """Close an open case. It opens again when the next reconciliation finds the same difference."""
    Case.objects.filter(pk=case_id, closed_at=None).update(closed_at=Now(), closed_by=by, note=note[:500])
