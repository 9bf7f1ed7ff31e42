"""Checks: what is stored of a comparison. Counts, totals and differences change in one transaction."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

from relay.consumer.watermarks import use_indexes
from relay.operations import Refused
from relay.operations.audit import demand_reason, record_intervention
from shop.control.ledger.models import LedgerCheck, LedgerDifference, LedgerWindow
from shop.control.ledger.rows import Outcome, is_new

#: Windows are kept for this time, and longer while a check is open.
KEPT = timedelta(days=14)
#: Differences that are listed for one window and part. The counts are complete.
MOST_LISTED = 100
#: Seconds until an open check is compared again: a tenth of its age, within these limits.
SHORTEST_SECONDS, LONGEST_SECONDS = 3, 30
_DOUBLED = (LedgerDifference.Kind.doubled,)

_POSTPONE = """
update control_ledgercheck c set due_at = clock_timestamp() + make_interval(secs => least(%(longest)s, greatest(
    %(shortest)s, extract(epoch from clock_timestamp() - w.cut_at)::float8 / 10)))
from control_ledgerwindow w where w.id = c.window_id and c.id = %(id)s
"""
_ADD = """
insert into control_ledgertotal as t (part, rows, found, wanted, effects, skipped) values (%s, %s, %s, %s, %s, %s)
on conflict (part) do update set rows = t.rows + excluded.rows, found = t.found + excluded.found,
    wanted = t.wanted + excluded.wanted, effects = t.effects + excluded.effects, skipped = t.skipped + excluded.skipped
"""
_DETAILS = (
    "select position, event_id, type, topic, key, sequence, created_at from relay_outbox where position = any(%s)"
)
_NUMBERS = "select id::text, number from orders_order where id = any(%s::uuid[])"


def find_open(part: str, *, limit: int) -> list[LedgerCheck]:
    """Return the first open checks of a part that are due, the oldest window first."""
    checks = LedgerCheck.objects.filter(part=part, closed_at=None, due_at__lte=Now())
    return list(checks.select_related("window").order_by("window_id")[:limit])


def list_open_parts() -> set[str]:
    """Return the parts with open checks that are due."""
    checks = LedgerCheck.objects.filter(closed_at=None, due_at__lte=Now())
    return set(checks.order_by().values_list("part", flat=True).distinct())


def store_outcome(check: LedgerCheck, outcome: Outcome) -> None:
    """Store the outcome of a comparison. The check is closed if nothing is outstanding."""
    before = (0, 0, 0, 0, 0) if is_new(check) else (0, check.found, check.wanted, check.effects, check.skipped)
    if is_new(check):
        check.found = check.wanted = check.effects = check.skipped = 0
    check.found += outcome.found
    check.wanted += outcome.wanted
    check.effects += outcome.effects
    check.skipped += outcome.skipped
    after = (check.rows if is_new(check) else 0, check.found, check.wanted, check.effects, check.skipped)
    _add_to_total(check.part, [new - old for new, old in zip(after, before, strict=True)])
    doubled = sum(kind in _DOUBLED for kind in outcome.differences.values())
    values: dict[str, Any] = {
        "found": check.found,
        "wanted": check.wanted,
        "effects": check.effects,
        "skipped": check.skipped,
        "waiting": len(outcome.waiting),
        "parked": len(outcome.parked),
        "lost": len(outcome.differences) - doubled,
        "doubled": doubled,
        "outstanding": outcome.outstanding,
        "checked_at": Now(),
    }
    if is_new(check) or not outcome.outstanding:
        values["audited_at"] = Now()
    if not outcome.outstanding:
        values["closed_at"] = Now()
    LedgerCheck.objects.filter(pk=check.pk).update(**values)
    if outcome.differences or check.lost or check.doubled:
        update_differences(check, outcome.differences)
    if outcome.outstanding:
        postpone(check)


def postpone(check: LedgerCheck) -> None:
    """Set the time of the next comparison of an open check."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTPONE, {"id": check.pk, "shortest": SHORTEST_SECONDS, "longest": LONGEST_SECONDS})


def reopen(check: LedgerCheck, differences: Mapping[int, str], *, lacking: int, without: int) -> None:
    """Open a check again, because rows that were in order have `differences` now.

    :param lacking: found rows that are no longer found.
    :param without: effects that are no longer in order.
    """
    check.refresh_from_db()
    known = set(check.outstanding)
    outstanding = sorted(known | differences.keys())
    _add_to_total(check.part, [0, -lacking, -without, -without, 0])
    doubled = sum(kind in _DOUBLED for kind in differences.values())
    LedgerCheck.objects.filter(pk=check.pk).update(
        found=F("found") - lacking,
        wanted=F("wanted") - without,
        effects=F("effects") - without,
        lost=F("lost") + len(differences) - doubled,
        doubled=F("doubled") + doubled,
        outstanding=outstanding,
        closed_at=None,
        due_at=Now(),
    )
    _add_differences(check, differences)


def _add_to_total(part: str, amounts: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [part, *amounts])


def update_differences(check: LedgerCheck, differences: Mapping[int, str]) -> None:
    """Close the listed differences of `check` that have healed, and list the new ones, up to MOST_LISTED."""
    known = LedgerDifference.objects.filter(window=check.window, part=check.part, closed_at=None)
    for difference in known:
        if differences.get(difference.position) != difference.kind:
            LedgerDifference.objects.filter(pk=difference.pk).update(closed_at=Now())
    _add_differences(check, differences)


def _add_differences(check: LedgerCheck, differences: Mapping[int, str]) -> None:
    listed = LedgerDifference.objects.filter(window=check.window, part=check.part)
    known = set(listed.filter(closed_at=None).values_list("position", "kind"))
    room = MOST_LISTED - len(known)
    fresh = [item for item in sorted(differences.items()) if item not in known][: max(0, room)]
    if not fresh:
        return
    # A difference that comes again after it had healed replaces its former row.
    listed.filter(position__in=[position for position, _ in fresh]).exclude(closed_at=None).delete()
    with use_indexes() as cursor:
        cursor.execute(_DETAILS, [[position for position, _ in fresh]])
        details = {position: columns for position, *columns in cursor.fetchall()}
        numbers = _read_numbers(cursor, [columns[3] for columns in details.values()])
    names = ("event_id", "type", "topic", "key", "sequence", "committed_at")
    LedgerDifference.objects.bulk_create(
        LedgerDifference(
            window=check.window,
            part=check.part,
            position=position,
            kind=kind,
            number=numbers.get(details[position][3], ""),
            **dict(zip(names, details[position], strict=True)),
        )
        for position, kind in fresh
        if position in details
    )


def _read_numbers(cursor: Any, keys: Sequence[str]) -> dict[str, str]:
    """Return the numbers of the orders among `keys`."""
    orders = []
    for key in set(keys):
        with suppress(ValueError):
            orders.append(UUID(key))
    cursor.execute(_NUMBERS, [orders])
    return dict(cursor.fetchall())


def accept(window: LedgerWindow, part: str, *, by: str, reason: str) -> int:
    """Accept all differences of a window and part: they are no longer reported. Return their number.

    The rows count as skipped. The intervention holds the person and the reason.

    :raises Refused: `reason` is empty, or the check has no open difference.
    """
    demand_reason(reason)
    with transaction.atomic():
        check = LedgerCheck.objects.select_for_update().filter(window=window, part=part, closed_at=None).first()
        count = check.lost + check.doubled if check else 0
        if check is None or not count:
            raise Refused(f"{window} has no open difference in {part}: it has healed, or was accepted already")
        listed = LedgerDifference.objects.filter(window=window, part=part, closed_at=None)
        names = ", ".join(f"{one.type} {one.event_id}" for one in listed[:10])
        record_intervention(
            "accept", actor=by, reason=reason.strip(), consumer=part, before=f"{count} differences in {window}: {names}"
        )
        listed.update(closed_at=Now(), accepted_by=by)
        _add_to_total(part, [0, 0, 0, 0, count])
        LedgerCheck.objects.filter(pk=check.pk).update(
            lost=0,
            doubled=0,
            waiting=0,
            parked=0,
            outstanding=[],
            skipped=F("skipped") + count,
            closed_at=Now(),
            audited_at=Now(),
            checked_at=Now(),
        )
    return count


def delete_old_windows() -> int:
    """Delete the windows that are older than KEPT and have no open check. Return their number."""
    open_ = LedgerCheck.objects.filter(window=OuterRef("pk"), closed_at=None)
    old = LedgerWindow.objects.filter(cut_at__lt=Now() - KEPT).exclude(Exists(open_))
    return old.delete()[1].get("control.LedgerWindow", 0)
