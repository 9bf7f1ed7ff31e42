"""Cases: opened for each difference to the gateway's ledger, closed when the difference is gone, or by staff."""

import logging
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from payments.casebook import ONCE, Finding, Kind, open_cases
from payments.gateways.protocol import GatewayUnavailable
from payments.models import Case, ReconcilingTurn
from payments.reconciliation.adoption import adopt_refunds
from payments.reconciliation.comparison import WINDOW_DAYS, Difference, find_differences
from payments.reconciliation.findings import find_declined_refunds, find_expiring, find_failed_captures, find_stuck
from payments.reconciliation.ledger import Scope, TookTooLong, make_scope

logger = logging.getLogger(__name__)

#: Beat compares the payments of this many days every hour, and of WINDOW_DAYS once per THOROUGH_EVERY.
RECENT_DAYS = 3
THOROUGH_EVERY = timedelta(days=1)
#: Time limit of the Celery task: less than the ten minutes after which Celery's broker redelivers an unfinished task.
TASK_SECONDS = 480
#: Time limit of the command.
COMMAND_SECONDS = 3600
#: Maximum number of findings per search. More findings have a common cause, so one case for each does not help.
MOST_CASES = 1000

#: Kinds that are found for payments of any age, so that a case is solved when its problem is not found.
OF_ANY_AGE = (Kind.stuck, Kind.capture_failed, Kind.expiring)

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
    for find in (find_stuck, find_failed_captures, find_expiring, find_declined_refunds, find_differing):
        with closing(find(scope)) as findings:
            first = list(islice(findings, MOST_CASES))
        found |= {finding.fingerprint: finding for finding in first}
        is_complete &= len(first) < MOST_CASES
    with transaction.atomic():
        # After the end of its turn this process could overwrite the newer findings of the next one.
        if not ReconcilingTurn.objects.select_for_update().filter(until=until, until__gt=Now()).exists():
            raise TookTooLong("the turn to reconcile ended during the comparison")
        adopt_refunds(
            [
                (finding.payment_id, finding.entry)
                for finding in found.values()
                if isinstance(finding, Difference) and finding.payment_id and finding.entry
            ]
        )
        known = (
            Case.objects.select_for_update(of=("self",))
            .filter(Q(closed_at=None) | Q(fingerprint__in=found))
            .order_by("pk")
        )
        stored = {case.fingerprint: case for case in known.select_related("payment")}
        opened = open_cases(found, stored)
        gone = [
            case.pk
            for fingerprint, case in stored.items()
            if fingerprint not in found and is_over(case, scope) and is_complete
        ]
        Case.objects.filter(pk__in=gone).update(closed_at=Now(), closed_by="reconcile_payments", note="gone")
    return Reconciliation(list(Case.objects.filter(closed_at=None)), opened, len(gone))


def is_over(case: Case, scope: Scope) -> bool:
    """Return whether a case that was not found in `scope` is solved, because `scope` would have included it."""
    if case.closed_at or case.kind in ONCE:
        return False
    if case.kind in OF_ANY_AGE:
        return True
    if case.payment is None:
        return scope.since is None
    settled = case.payment.wanted == "nothing" and case.payment.updated_at < scope.began
    return settled and case.payment.pk >= scope.first_id


def find_differing(scope: Scope) -> Generator[Finding, None, None]:
    """Yield the differences between payments and the gateway's ledger."""
    yield from find_differences(scope)


def close_case(case_id: int, *, by: str, note: str) -> None:
    """Close an open case. The next reconciliation reopens it if the difference still exists."""
    Case.objects.filter(pk=case_id, closed_at=None).update(closed_at=Now(), closed_by=by, note=note[:500])
