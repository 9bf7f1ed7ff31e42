"""The audit: checks are compared again as a whole for a short time in each round, the recent windows first.

A row that is removed or repeated after its window was compared is found this way. In a quiet shop the audit reaches all
windows within a minute; in a busy one it reaches the recent ones, and the full verification finds the others.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

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
PAUSE = timedelta(seconds=40)
#: Checks that are chosen at once.
CHOSEN = 10


def repeat_checks(parts: Mapping[str, Sequence[str]], traces: Sequence[Trace], *, seconds: float) -> int:
    """Compare checks of consumers again for about `seconds`. Return the number of new differences."""
    deadline, found = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        chosen = choose_checks(parts)
        if not chosen:
            break
        for check in chosen:
            found += repeat(check, parts[check.part], traces)
            if time.monotonic() > deadline:
                break
    return found


def choose_checks(parts: Mapping[str, Sequence[str]]) -> list[LedgerCheck]:
    """Return the recent checks whose last comparison is the longest ago, or else the old ones."""
    accepted = LedgerDifference.objects.filter(window=OuterRef("window"), part=OuterRef("part")).exclude(accepted_by="")
    compared: QuerySet[LedgerCheck] = (
        LedgerCheck.objects.filter(checked_at__isnull=False, audited_at__lt=Now() - PAUSE, part__in=parts)
        .exclude(part=LedgerCheck.LOG)
        .exclude(Exists(accepted))
        .select_related("window")
        .order_by("audited_at")
    )
    recent = list(compared.filter(window__cut_at__gt=Now() - RECENT)[:CHOSEN])
    return recent or list(compared[:CHOSEN])


def repeat(check: LedgerCheck, topics: Sequence[str], traces: Sequence[Trace]) -> int:
    """Compare a whole check again. Open it if an effect is missing or doubled. Return the number of new differences."""
    found = effects.compare(check, topics, traces, whole=True).differences
    differences = {position: kind for position, kind in found.items() if position not in check.outstanding}
    with transaction.atomic():
        if differences:
            reopen(check, differences, lacking=len(differences), without=len(differences))
        LedgerCheck.objects.filter(pk=check.pk).update(audited_at=Now())
    return len(differences)
