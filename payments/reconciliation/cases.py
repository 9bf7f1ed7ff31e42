"""Cases: opened for each difference to the gateway's ledger, closed when the difference is gone, or by staff."""

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

#: An unfinished attempt that started longer ago than this opens a case.
STUCK_AFTER = timedelta(minutes=15)
#: The same limit for pending refunds: a bank may take several days.
PENDING_FOR = timedelta(days=10)
#: Beat compares the payments of this many days every hour, and of WINDOW_DAYS once per THOROUGH_EVERY.
RECENT_DAYS = 3
THOROUGH_EVERY = timedelta(days=1)
#: Time limit of the Celery task: less than the ten minutes after which Celery's broker redelivers an unfinished task.
TASK_SECONDS = 480
#: Time limit of the command.
COMMAND_SECONDS = 3600
#: Maximum number of findings per search. More findings have a common cause, so one case for each does not help.
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
    """Another process is reconciling payments at the moment."""


@dataclass(frozen=True)
class Reconciliation:
    """The result: all open cases, the number of cases opened, and the number closed because their cause is gone."""

    open: list[Case]
    opened: int
    closed: int


def reconcile_regularly() -> None:
    """Reconcile RECENT_DAYS, and once a day WINDOW_DAYS. Log and return if another process reconciles."""
    try:
        with take_turn(TASK_SECONDS) as until:
            found = compare_and_record(find_due_days(), TASK_SECONDS, until)
    except (AlreadyReconciling, GatewayUnavailable) as error:
        logger.warning("payments not reconciled", extra={"why": f"{type(error).__name__}: {error}"})
        return
    logger.info("payments reconciled", extra={"opened": found.opened, "closed": found.closed, "open": len(found.open)})


def reconcile(days: int | None = WINDOW_DAYS, seconds: float = COMMAND_SECONDS) -> Reconciliation:
    """Compare the payments of the last `days` (None: all) with the gateway's ledger, and open and close cases.

    A new difference opens a case. A case whose difference is gone is closed.

    :raises GatewayUnavailable: the ledger can't be read and compared within `seconds`. No case changes.
    :raises AlreadyReconciling: another process is reconciling.
    """
    with take_turn(seconds) as until:
        return compare_and_record(days, seconds, until)


@contextmanager
def take_turn(seconds: float) -> Iterator[datetime]:
    """Hold the turn to reconcile inside the block, for at most `seconds`, and yield the time at which it ends.

    :raises AlreadyReconciling: another process holds the turn.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN, [seconds])
        row = cursor.fetchone()
    if row is None:
        raise AlreadyReconciling("another process is reconciling payments at the moment")
    try:
        yield row[0]
    finally:
        ReconcilingTurn.objects.filter(until=row[0]).update(until=Now())


def find_due_days() -> int:
    """Return the number of days to compare: WINDOW_DAYS once per THOROUGH_EVERY, even if that comparison fails."""
    due = ReconcilingTurn.objects.filter(thorough_at__lt=Now() - THOROUGH_EVERY)
    return WINDOW_DAYS if due.update(thorough_at=Now()) else RECENT_DAYS


def compare_and_record(days: int | None, seconds: float, until: datetime) -> Reconciliation:
    """Compare and change cases as :func:`reconcile` describes, within the turn that ends at `until`."""
    scope = make_scope(days, seconds)
    found: dict[str, Finding] = {}
    is_complete = True
    for find in (find_stuck, find_declined_refunds, find_differing):
        with closing(find(scope)) as findings:
            first = list(islice(findings, MOST_CASES))
        found |= {make_fingerprint(finding): finding for finding in first}
        is_complete &= len(first) < MOST_CASES
    with transaction.atomic():
        # After the end of its turn this process could overwrite the newer findings of the next one.
        if not ReconcilingTurn.objects.select_for_update().filter(until=until, until__gt=Now()).exists():
            raise TookTooLong("the turn to reconcile ended during the comparison")
        known = (
            Case.objects.select_for_update(of=("self",))
            .filter(Q(closed_at=None) | Q(fingerprint__in=found))
            .order_by("pk")
        )
        stored = {case.fingerprint: case for case in known.select_related("payment")}
        fresh = [make_case(fingerprint, *found[fingerprint]) for fingerprint in found.keys() - stored.keys()]
        Case.objects.bulk_create(fresh, ignore_conflicts=True)
        again = [
            case.pk
            for fingerprint, case in stored.items()
            if fingerprint in found and case.closed_at and is_lasting(case)
        ]
        Case.objects.filter(pk__in=again).update(closed_at=None, closed_by="", note="")
        gone = [
            case.pk
            for fingerprint, case in stored.items()
            if fingerprint not in found and is_over(case, scope) and is_complete
        ]
        Case.objects.filter(pk__in=gone).update(closed_at=Now(), closed_by="reconcile_payments", note="gone")
        Case.objects.filter(fingerprint__in=found).update(last_seen_at=Now())
    return Reconciliation(list(Case.objects.filter(closed_at=None)), len(fresh) + len(again), len(gone))


def is_lasting(case: Case) -> bool:
    """Return whether a closed case opens again when it is found again. A declined refund stays closed."""
    return case.kind != Kind.refund_declined


def is_over(case: Case, scope: Scope) -> bool:
    """Return whether a case that was not found in `scope` is solved, because `scope` would have included it."""
    if case.kind == Kind.stuck:
        return case.closed_at is None
    if case.closed_at or case.kind == Kind.refund_declined:
        return False
    if case.payment is None:
        return scope.since is None
    settled = case.payment.wanted == "nothing" and case.payment.updated_at < scope.began
    return settled and case.payment.pk >= scope.first_id


def find_stuck(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the attempts that have been unfinished for too long, of payments of any age."""
    stuck = Q(started_at__lt=Now() - STUCK_AFTER) & ~Q(refund__status=Refund.Status.pending)
    waiting = Attempt.objects.filter(stuck | Q(started_at__lt=Now() - PENDING_FOR), finished_at=None)
    for attempt in waiting.exclude(payment__wanted="nothing").select_related("payment").iterator(1000):
        text = f"payment {attempt.payment_id} of order {attempt.payment.order_id} waits for its {attempt.operation}"
        yield Kind.stuck, Difference(attempt.payment_id, text)


def find_declined_refunds(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the declined refunds that were created or finished within `scope`."""
    declined = Refund.objects.filter(status=Refund.Status.declined)
    if scope.since:
        declined = declined.filter(Q(created_at__gte=scope.since) | Q(finished_at__gte=scope.since))
    for refund in declined.select_related("payment").iterator(1000):
        text = f"refund {refund.number} of {refund.amount} {refund.payment.currency} was declined: {refund.answer}"
        yield Kind.refund_declined, Difference(refund.payment_id, text)


def find_differing(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the differences between payments and the gateway's ledger."""
    for difference in find_differences(scope):
        yield Kind.differs if difference.payment_id else Kind.unknown_entry, difference


def make_fingerprint(finding: Finding) -> str:
    """Return a hash that is equal for the same finding on different days."""
    kind, difference = finding
    return sha256(f"{kind} {difference.payment_id} {difference.text}".encode()).hexdigest()


def make_case(fingerprint: str, kind: Case.Kind, difference: Difference) -> Case:
    """Return an unsaved case for a finding."""
    return Case(fingerprint=fingerprint, kind=kind, payment_id=difference.payment_id, description=difference.text)


def close_case(case_id: int, *, by: str, note: str) -> None:
    """Close an open case. The next reconciliation reopens it if the difference still exists."""
    Case.objects.filter(pk=case_id, closed_at=None).update(closed_at=Now(), closed_by=by, note=note[:500])
