"""The audit: windows are compared again as a whole for a short time in each round, the recent windows first.

A row that is removed or repeated after its window was compared is found this way. In a quiet shop the audit reaches all
windows within a minute; in a busy one it reaches some of the recent ones, and the full verification finds the others.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import accumulate

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from shop.control.ledger import effects
from shop.control.ledger.checks import reopen
from shop.control.ledger.models import LedgerCheck, LedgerDifference
from shop.control.ledger.traces import Trace

#: Windows that were cut in this time are recent.
RECENT = timedelta(minutes=15)
#: A check is not repeated earlier than this.
PAUSE = timedelta(seconds=30)
#: Checks and rows that one statement compares. Planning it costs as much as hundreds of rows.
CHOSEN, MOST_ROWS = 50, 2000


def repeat_checks(parts: Mapping[str, Sequence[str]], traces: Sequence[Trace], *, seconds: float) -> int:
    """Compare checks of consumers again for about `seconds`. Return the number of new differences."""
    deadline, found = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        chosen = choose_checks(parts)
        if not chosen:
            break
        found += repeat(chosen, parts[chosen[0].part], traces)
    return found


def choose_checks(parts: Mapping[str, Sequence[str]]) -> list[LedgerCheck]:
    """Return checks of one consumer, up to MOST_ROWS rows: the recent ones, or else the old ones.

    The consumer and the checks are those whose last comparison is the longest ago.
    """
    accepted = LedgerDifference.objects.filter(window=OuterRef("window"), part=OuterRef("part")).exclude(accepted_by="")
    compared: QuerySet[LedgerCheck] = (
        LedgerCheck.objects.filter(checked_at__isnull=False, audited_at__lt=Now() - PAUSE, part__in=parts)
        .exclude(part=LedgerCheck.LOG)
        .exclude(Exists(accepted))
        .select_related("window")
        .order_by("audited_at")
    )
    for checks in (compared.filter(window__cut_at__gt=Now() - RECENT), compared):
        if (first := checks.first()) is not None:
            same = list(checks.filter(part=first.part)[:CHOSEN])
            sums = accumulate(check.rows for check in same)
            return same[: max(1, sum(rows <= MOST_ROWS for rows in sums))]
    return []


def repeat(checks: Sequence[LedgerCheck], topics: Sequence[str], traces: Sequence[Trace]) -> int:
    """Compare checks of one consumer again. Open those of which an effect is missing or doubled.

    Return the number of new differences.
    """
    found = effects.compare_again(checks, topics, traces).differences
    new = 0
    with transaction.atomic():
        for check in checks:
            differences = {
                position: kind
                for position, kind in found.items()
                if check.window.after < position <= check.window.until and position not in check.outstanding
            }
            if differences:
                reopen(check, differences, lacking=len(differences), without=len(differences))
                new += len(differences)
        LedgerCheck.objects.filter(pk__in=[check.pk for check in checks]).update(audited_at=Now())
    return new
